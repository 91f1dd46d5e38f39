"""Text in, masked language model out."""

"""Readers of annotated corpora, training, scoring, batch prediction, and the `clinx` command."""

"""One module for each verb of `clinx`: arguments, one call, and what is printed."""

"""Grids of runs that resume, and their tables and plots."""

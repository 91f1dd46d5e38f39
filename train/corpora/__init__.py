"""Annotated text: Documents from every format, checked in one place."""

from .registry import FORMATS, read_corpus, read_splits


__all__ = ["FORMATS", "read_corpus", "read_splits"]

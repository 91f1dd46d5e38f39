"""Abstracts out of PubMed's dump: its citations, its query language, the trees of MeSH, and the selection."""

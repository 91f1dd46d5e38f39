"""Everything between a folder on disk and the Hub: cards, export, upload, and the check by downloading it again."""

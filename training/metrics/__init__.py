"""Measures of what a generator makes and of what a discriminator knows."""

"""Symbols, lexicon and grammar."""

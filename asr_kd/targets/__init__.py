"""Soft targets: the mean of an ensemble, and its store."""

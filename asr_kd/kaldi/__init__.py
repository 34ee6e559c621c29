"""Kaldi's files, in and out: transition models, alignments, features, graphs, lexicons, archives."""

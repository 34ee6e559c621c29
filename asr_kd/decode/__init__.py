"""Decoding graphs, beam search in worker processes, and tuning on a dev set."""

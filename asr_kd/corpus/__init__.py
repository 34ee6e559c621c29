"""Kaldi data directories, audio decoding and resampling, synthesis, noise and reverberation."""

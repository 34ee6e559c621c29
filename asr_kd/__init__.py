"""Distil an ensemble of acoustic models into one model small enough to ship."""

__version__ = "0.1.0"

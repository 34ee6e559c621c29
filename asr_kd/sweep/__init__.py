"""Distilling over a grid of temperatures, weights, widths and seeds."""

"""Specialists: networks for the states that a generalist confuses, fused with it (Hinton et al. 2015, section 5)."""

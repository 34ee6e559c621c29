"""One training loop for everything: it knows an Objective, never a method."""

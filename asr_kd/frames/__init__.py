"""Filter banks, mean and variance normalisation, and the frame store."""

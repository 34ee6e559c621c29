"""The tables of Hinton, Vinyals & Dean 2015 beside the figures of own runs."""

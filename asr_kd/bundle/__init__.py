"""A model as one directory that carries all it needs to recognise speech."""

"""How near to the machine's limit every part is, and how it compares with other programs."""

"""How near to the machine's limit every part is, and what a run will need."""

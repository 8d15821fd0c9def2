"""How good the checks are: which mistakes are seen, which are named."""

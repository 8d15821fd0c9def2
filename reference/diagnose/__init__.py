"""From wrong numbers to the name of the mistake."""

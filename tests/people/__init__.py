"""Backward passes as people write them, right and wrong, each with the verdict that it deserves."""

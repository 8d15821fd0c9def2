"""Recordings: what a model gave at one time, kept in files, and what is there now beside it."""

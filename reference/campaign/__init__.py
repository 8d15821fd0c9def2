"""Verifications of any size: the same work on this machine or on many, kept as it is done, and gone on with."""

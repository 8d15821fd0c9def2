"""Test vectors for other languages: small cases with everything that goes in, and what must come out."""

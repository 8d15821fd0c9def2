"""What other frameworks make of the vectors. Each is imported where it is asked for; torch is not needed here."""

"""What to try: cases, their numbers, random architectures, the record of what was drawn."""

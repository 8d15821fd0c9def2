"""What was found, on a screen and in files."""

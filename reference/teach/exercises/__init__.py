"""The exercises, in the order in which they build on each other. Each file is data: text, hints, stub, checks."""

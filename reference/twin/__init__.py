"""The torch side of a layer or optimizer: the module of the same name and options, its randomness, its reading."""

"""The same numbers beside other versions of torch, each in an environment of its own."""

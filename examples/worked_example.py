"""The worked example: two inputs, two hidden neurons, one output; every number by hand, by PyTorch, and by the text.

The step in full, then a hundred steps of it. The same as `manualbp explain --steps 100`.
"""

from reference.explain import explain

if __name__ == "__main__":
    explain(steps=100)

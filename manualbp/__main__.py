"""python -m manualbp: the command `manualbp`, which needs PyTorch."""

from reference.cli import main

if __name__ == "__main__":
    main()

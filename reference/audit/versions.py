"""The test suite beside several versions of torch, each in an environment of its own that is removed again.

    python -m reference.audit.versions 2.13.0 2.14.1                   the whole suite beside both
    python -m reference.audit.versions 2.14.1 -- tests/test_laws.py    arguments for pytest after the dashes

It needs the project's repository, and room: an environment takes up to 6 GB. Where versions differ on purpose stands in
`reference.twin.conventions`.
"""

import sys
import time
from collections.abc import Sequence

from ..versions.environment import HERE, NotInstalledError, environment, run


def suite(version: str, arguments: Sequence[str]) -> int:
    """The exit code of pytest beside torch of this version, or of pip where that cannot be installed."""
    try:
        with environment(version, extra="test") as python:
            run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", str(HERE))  # its entry points
            return run(python, "-m", "pytest", *arguments).returncode
    except NotInstalledError as e:
        print(e, file=sys.stderr)
        return 2


def main(arguments: list[str]) -> int:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    versions, rest = arguments[:at], arguments[at + 1 :]
    if not versions or not (HERE / "tests").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    codes: dict[str, int] = {}
    for version in versions:
        print(f"beside torch {version}", flush=True)
        start = time.monotonic()
        codes[version] = suite(version, rest)
        told = "passed" if codes[version] == 0 else f"failed, exit code {codes[version]}"
        print(f"torch {version}: {told} in {time.monotonic() - start:.0f} s", flush=True)
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

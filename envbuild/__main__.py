"""`python -m envbuild` and the `envbuild` command."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point: runs the command line and ends the process with its exit code."""
    from envbuild.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

"""The options of commands that reach a registry."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_insecure(parser: argparse.ArgumentParser) -> None:
    """Add the option that trusts whoever answers."""
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="also without encryption, and with certificates that nobody vouches for (this machine's own registries "
        "need no encryption)",
    )

"""The options of commands that make layers of an image: how many, and how they are compressed."""

from __future__ import annotations

import os

from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

MAX_LAYERS = 120


def add_layers(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options. `default` says how they are compressed else."""
    parser.add_argument(
        "--layers",
        metavar="N|steps",
        default="60",
        help="at most N layers, or one for each step that changed something (default: 60)",
    )
    parser.add_argument("--compression", choices=("zstd", "gzip", "none"), help=f"of the layers (default: {default})")
    parser.add_argument("--jobs", "-j", type=int, metavar="N", help="compress on N threads (default: all processors)")


def layering(text: str) -> str | int:
    """Return what `--layers` asks for. Raises UsageError."""
    if text == "steps":
        return text
    if not text.isdigit() or not 1 <= int(text) <= MAX_LAYERS:
        raise UsageError(
            f"--layers {text}: not a number of layers from 1 to {MAX_LAYERS}",
            "docker starts nothing of more than 127 layers; or --layers steps",
        )
    return int(text)


def threads(jobs: int | None) -> int:
    """Return how many threads compress."""
    return max(1, jobs or os.cpu_count() or 1)

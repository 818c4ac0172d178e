"""The option that names another machine than this one."""

from __future__ import annotations

from envbuild.errors import BadOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_platform(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--platform", metavar="OS/ARCH", help="for another machine than this one, as linux/arm64")


def platform(text: str | None) -> tuple[str, str]:
    """Return the architecture and its variant that `--platform` says, in OCI's words; without it, this machine's.
    Raises BadOption."""
    if not text:
        from envbuild.linux.machine import architecture
        from envbuild.oci.config import platform_of

        here = platform_of(architecture())
        return here["architecture"], here.get("variant", "")
    words = text.split("/")
    if len(words) == 1:
        words = ["linux", *words]
    if not 2 <= len(words) <= 3 or words[0] != "linux" or not all(words):
        raise BadOption("--platform", text, "platform", "--platform linux/arm64")
    return words[1], words[2] if len(words) == 3 else ""

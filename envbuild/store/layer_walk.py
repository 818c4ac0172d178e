"""A walk over layers that looks at nothing but change times, by a program of a few hundred bytes.

It is a process of its own: it needs less than half the time that Python needs for the same, and whoever waits for it
can do something else meanwhile. What it finds, and whatever it can't look at, is looked into by layer_check.py.
"""

from __future__ import annotations

import os
import struct

from envbuild.linux.native import elf, open_program
from envbuild.linux.signals import SIGKILL
from envbuild.store.layer_check import CLOCK_STEP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_CODE = {
    "x86_64": bytes.fromhex(
        "4c8d6424104c8d2d54010000498b34244885f6744a498b5d00498b6d084881ec90000000bf9cffffffe8410000004881c490"
        "000000b801010000bf9cffffff498b3424ba00000b000f0585c0781589c7e8480000004983c4084983c510ebad31ffeb05bf"
        "02000000b8e70000000f05b806010000488d54240841ba000100000f0585c078de48395c24707c097f0848396c24787f01c3"
        "bf01000000ebcb41564157574881ec90400000b8d90000008bbc2490400000488db42490000000ba004000000f0585c0789b"
        "74794c8db424900000004d8d3c064d39fe73ce410fb7461383f82e74543d2e2e0000750741807e150074468bbc2490400000"
        "498d7613e86cffffff8b4424182500f000003d004000007526b8010100008bbc2490400000498d7613ba00000b000f0585c0"
        "0f8831ffffff89c7e864ffffff410fb746104901c6eb93b8030000008bbc24904000000f054881c4904000005f415f415ec3"
        "6690"
    ),
    "aarch64": bytes.fromhex(
        "f3430091340b0010610240f9e10100b4955ac1a8ff0302d1600c809210000094ff030291080780d2600c8092618640f80200"
        "98d20201a0f2010000d4a000f8b715000094f1ffff17000080d202000014400080d2c80b80d2010000d4e80980d2e2030091"
        "032080d2010000d420ffffb7e28f46a95f0015eb8b0000548c0000547f0016eb4c000054c0035fd6200080d2f1ffff17fd7b"
        "bda9f76301a9f91300f9f90300aaff0302d1ff1340d1a80780d2e00319aae1030291020088d2010000d480fcffb7000400b4"
        "f7030291f802008bff0218ebc2feff54e24e40395fb80071e1000054e2524039820200345fb8007161000054e25640390202"
        "0034e00319aae14e0091d6ffff97e21340b9420c14125f10407121010054080780d2e00319aae14e0091020098d20201a0f2"
        "010000d400f9ffb7d8ffff97e2224079f702028be4ffff17280780d2e00319aa010000d4ff134091ff030291f91340f9f763"
        "41a9fd7bc3a8c0035fd6"
    ),
}
"""What layer_walk_MACHINE.S beside this file assembles to. Its argv from the second on is directories; behind the code
lies a pair of seconds and nanoseconds for each. It exits with 0 if nothing in a directory has a change time after that,
with another status otherwise."""
_TIME = struct.Struct("=2q")
_SECOND = 1_000_000_000


def program(machine: str, times: Sequence[int]) -> bytes:
    """Return the program for a machine, and these times in nanoseconds. Raises KeyError where there is none for it."""
    return elf(machine, _CODE[machine] + b"".join([_TIME.pack(*divmod(time, _SECOND)) for time in times]))


class LayerWalk:
    """A walk that goes on over some layers."""

    def __init__(self, pid: int, layers: frozenset[str]) -> None:
        self._pid = pid
        self._layers = layers

    @classmethod
    def start(cls, path: str, times: Mapping[str, int]) -> LayerWalk | None:
        """Start a walk over layers, directories in `path`, that looks for changes after a time in each (nanoseconds).
        Returns None where there is nothing to walk over, or no such program for this machine."""
        if not times:
            return None
        try:
            content = program(os.uname().machine, [since - CLOCK_STEP for since in times.values()])
            opened = open_program(content)
        except (KeyError, OSError):
            return None
        try:
            words = ["envbuild-walk", *(f"{path}/{layer}" for layer in times)]
            return cls(os.posix_spawn(f"/proc/self/fd/{opened}", words, {}), frozenset(times))
        except OSError:
            return None
        finally:
            os.close(opened)

    @property
    def layers(self) -> frozenset[str]:
        """What it walks over."""
        return self._layers

    def is_over(self) -> bool:
        """Tell whether it need not be waited for."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def sound_layers(self) -> frozenset[str]:
        """Wait for the end; return the layers that are as they were: all of them, or none, as it does not say which."""
        return self._layers if os.waitpid(self._pid, 0)[1] == 0 else frozenset()

    def end(self) -> None:
        """End it wherever it is."""
        os.kill(self._pid, SIGKILL)
        os.waitpid(self._pid, 0)

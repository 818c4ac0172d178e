"""`python -m envbuild` and the `envbuild` command."""

from __future__ import annotations

import gc
import os
import sys

from envbuild import __version__, module_pack


def main() -> None:
    """The entry point: runs the command line and ends the process with its exit code."""
    code = command_line()
    # All that has to be undone was undone when `run` came back. Taking the interpreter apart costs 3 ms more.
    os._exit(code)


def command_line() -> int:
    """Run the command that the process was started with, to the end of its output, and return its exit code."""
    # Nothing that is made while modules load is garbage: looking for it takes 3 ms of every start.
    gc.disable()
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    module_pack.use(command, __version__)
    from envbuild.cli.main import run

    gc.freeze()
    # Nor is much of what a command makes later; one that works for long is looked at often enough all the same.
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
    _open_missing_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass  # the reader had enough: `envbuild images | head`
    except OSError:
        code = code or 1  # the reader's disk is full
    if code == 0 and module_pack.is_incomplete(command):
        from envbuild.module_pack_writer import write_pack

        write_pack(command, __version__)
    return code


def _open_missing_streams() -> None:
    """Without a standard stream (as after `<&-`) the next file that is opened would be taken for it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one (open(2))
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - to the end


if __name__ == "__main__":
    main()

"""Services of a shell that say something to whoever connects, for instances and steps that have busybox alone."""

from __future__ import annotations


def answer_once(text: str, port: int) -> str:
    """Return a shell's command that says a line to the first who connects.

    The line comes from a file, which is always ready to be read. `echo TEXT | nc -l` ends without having said anything
    where the other side's end of input is there before the pipe has the line: netcat stops at that end.
    """
    return f'echo "{text}" > /dev/shm/{port}; nc -l -p {port} < /dev/shm/{port}'


def answer_all(text: str, port: int) -> str:
    """Return a shell's command that says a line to all who connect, one after another."""
    return f"while :; do {answer_once(text, port)} > /dev/null; done"


def ask(name: str, port: int) -> str:
    """Return a shell's command that prints what a service says that is about to listen. It gives up after a minute."""
    return f"for n in $(seq 600); do nc {name} {port} < /dev/null 2> /dev/null && break; sleep 0.1; done"

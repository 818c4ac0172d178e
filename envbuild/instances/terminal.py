"""Connecting the user's terminal with that of a command: keys in, output out, and the same size."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import tty

from envbuild.linux import signals as signal

_CHUNK = 1 << 16


class TerminalBridge:
    """Passes bytes between the user's terminal and the master side of another. Use it as a context manager: leaving
    it gives the user's terminal its settings back."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._settings = termios.tcgetattr(stdin)
        self._master = -1
        self._thread: threading.Thread | None = None
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)

    def __enter__(self) -> TerminalBridge:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stop_write)
        if self._thread is not None:
            self._thread.join()
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        try:
            termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._settings)
        except termios.error:
            pass  # it is gone, and the instance went with it
        os.close(self._stop_read)
        if self._master >= 0:
            os.close(self._master)

    def connect(self, master: int) -> None:
        """Begin to pass bytes. The user's terminal passes keys on unread from here: Ctrl-C is the command's."""
        self._master = master
        # In this order: a change of size between the two would else be lost.
        signal.signal(signal.SIGWINCH, lambda _number, _frame: self._resize())
        self._resize()
        tty.setraw(self._stdin, termios.TCSADRAIN)
        self._thread = threading.Thread(target=self._pass, name="terminal", daemon=True)
        self._thread.start()

    def _resize(self) -> None:
        size = fcntl.ioctl(self._stdin, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _pass(self) -> None:
        sources = [self._stdin, self._master, self._stop_read]
        ending = False
        while True:
            ready, _, _ = select.select(sources, [], [], 0 if ending else None)
            if ending and self._master not in ready:
                return
            if self._stop_read in ready:
                # The command has ended; what it wrote last is still to be shown.
                ending = True
                sources = [self._master]
            if self._stdin in ready and not ending:
                try:
                    data = os.read(self._stdin, _CHUNK)
                except OSError:
                    data = b""  # the user's terminal is gone
                if not data:
                    sources.remove(self._stdin)
                _write(self._master, data)
            if self._master in ready:
                try:
                    data = os.read(self._master, _CHUNK)
                except OSError:
                    return  # EIO: the last one who had the other side open is gone
                if not data:
                    return
                try:
                    _write(self._stdout, data)
                except OSError:
                    pass  # nobody sees it any more; the command may still write it


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

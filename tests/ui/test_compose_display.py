"""Groups in lines."""

import io

from envbuild.compose.members import HEALTHY, STARTED, WAITING, Progressed, Warned
from envbuild.ui.compose_display import GroupDisplay


class Stream(io.TextIOWrapper):
    def __init__(self, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()


def test_what_becomes_of_services():
    stream = Stream()
    shown = GroupDisplay(["db", "web"], stream, False, Stream(), False)
    shown(Progressed("db", STARTED, "0.0.0.0:80 -> 80/tcp"))
    shown(Progressed("web", WAITING, "healthy"))
    shown(Warned("be \x1b[31mcareful", "do so"))
    assert stream.text == (
        "db   started  0.0.0.0:80 -> 80/tcp\n"
        "web  waiting for it to be healthy\n"
        "warning: be \\x1b[31mcareful\n"
        "hint: do so\n"
    )


def test_colours_on_a_terminal():
    stream, printed = Stream(True), Stream(True)
    shown = GroupDisplay(["db", "web"], stream, True, printed, True)
    shown(Progressed("db", HEALTHY))
    shown.log("db", "out", b"one \x1b[2J two")
    shown.log("web", "err", b"three")
    assert stream.text == "db   \x1b[32mhealthy\x1b[0m\n"
    assert printed.text == "\x1b[36mdb  | \x1b[0mone  two\n\x1b[33mweb | \x1b[0mthree\n"


def test_a_file_gets_the_bytes_as_they_are():
    printed = Stream()
    GroupDisplay(["db"], Stream(), False, printed, False).log("db", "out", b"\x1b[1m\xff")
    printed.flush()
    assert printed.buffer.getvalue() == b"db | \x1b[1m\xff\n"

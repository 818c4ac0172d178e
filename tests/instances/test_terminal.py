"""Instances in a real terminal: tmux is the terminal, and what its screen shows is what a user sees."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import Project, wait_for

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Terminal:
    """A tmux server of one's own, with one window of 80 by 24."""

    def __init__(self, folder, inside, environment: dict[str, str]) -> None:
        """`inside` is the folder that its shell is in."""
        settings = folder / "settings"
        settings.write_text("PS1='$ '\n")
        self._folder = folder  # relative to it: a socket's path may be 108 bytes long
        self._words = ["tmux", "-S", "tmux", "-f", "/dev/null"]
        self._environment = {**environment, "TERM": "xterm-256color", "ENV": str(settings)}
        self._environment.pop("TMUX", None)
        self._do("new-session", "-d", "-x", "80", "-y", "24", "-c", str(inside), "sh")

    def type(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def line(self, *words: str) -> None:
        """Types a command of envbuild, and Enter."""
        self.type("-l", shlex.join((sys.executable, "-m", "envbuild", *words)))
        self.type("Enter")

    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    def shows(self, text: str) -> bool:
        return wait_for(lambda: text in self.screen())

    def prompts(self) -> bool:
        """Whether the shell of the terminal itself asks for the next command."""
        return wait_for(lambda: self.screen().rstrip("\n").rsplit("\n", 1)[-1] == "$")

    def resize(self, columns: int, lines: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(lines))

    def end(self) -> None:
        self._do("kill-server", check=False)

    def _do(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self._words, *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )
        return done.stdout


@pytest.fixture
def terminal(tmp_path, project):
    # A fault of envbuild's own would leave its report here.
    made = Terminal(tmp_path, project.folder, {**project.environment, "TMPDIR": str(tmp_path)})
    assert made.prompts(), made.screen()
    yield made
    made.end()


@pytest.fixture(scope="module")
def tools_store(tmp_path_factory):
    """A store with an image of Python, less and stty, of this machine's own packages."""
    folder = tmp_path_factory.mktemp("tools")
    made = Project(folder, folder / "store")
    done = made.build("from host(python3, less)", "run seq 1 500 > /numbers", name="tools.env")
    assert done.code == 0, done.err
    return made.store


@pytest.fixture
def tools(project, tools_store):
    """A project that runs that image, and changes nothing of the store."""
    project.move(project.folder, tools_store)
    return project


def test_an_interactive_python_is_edited_interrupted_and_left(tools, terminal):
    terminal.line("run", "tools", "--", "python3", "-q")
    assert terminal.shows(">>>")
    terminal.type("-l", "6 * 7x")
    terminal.type("BSpace", "Enter")
    assert terminal.shows("\n42\n")
    # Ctrl-C is the program's: it ends what runs, and not Python.
    terminal.type("-l", "import time; print('a' + 'sleep'); time.sleep(600)")
    terminal.type("Enter")
    assert terminal.shows("\nasleep\n")
    terminal.type("C-c")
    assert terminal.shows("KeyboardInterrupt")
    terminal.type("-l", "import os; print(os.get_terminal_size())")
    terminal.type("Enter")
    assert terminal.shows("columns=80, lines=24")
    terminal.resize(100, 30)
    terminal.type("-l", "print('now', os.get_terminal_size())")
    terminal.type("Enter")
    assert terminal.shows("now os.terminal_size(columns=100, lines=30)")
    terminal.type("-l", "raise SystemExit(7)")
    terminal.type("Enter")
    assert terminal.prompts(), terminal.screen()
    terminal.type("-l", "echo code=$?")
    terminal.type("Enter")
    assert terminal.shows("code=7")
    # The user's own terminal is as before: it echoes, and lines end where they should.
    terminal.type("-l", "stty -a | tr ' ' '\\n' | grep -c -e ^echo$ -e ^icanon$")
    terminal.type("Enter")
    assert terminal.shows("\n2\n")


def test_less_fills_the_screen_scrolls_and_gives_it_back(tools, terminal):
    terminal.line("run", "tools", "--", "less", "/numbers")
    assert terminal.shows("\n23\n")
    terminal.type("G")
    assert terminal.shows("\n500\n")
    assert terminal.screen().startswith("478\n")
    terminal.resize(80, 12)
    assert wait_for(lambda: len(terminal.screen().rstrip("\n").splitlines()) == 12)
    terminal.type("g")
    assert wait_for(lambda: terminal.screen().startswith("1\n2\n"))
    terminal.type("q")
    assert terminal.prompts(), terminal.screen()
    terminal.type("-l", "echo back")
    terminal.type("Enter")
    assert terminal.shows("\nback\n")
    assert "\n500\n" not in terminal.screen()


def test_an_instance_ends_with_its_terminal(tools, terminal):
    terminal.line("run", "--name", "seen", "tools", "--", "python3", "-q")
    assert terminal.shows(">>>")
    assert "seen" in tools.command("ps").out
    assert tools.command("exec", "seen", "--", "cat", "/etc/hostname").code in (0, 1)
    os.kill(int(terminal._do("list-panes", "-F", "#{pane_pid}").strip()), 1)
    assert wait_for(lambda: "seen" not in tools.command("ps", "--all").out)
    assert not list(tools.folder.parent.glob("envbuild-bug-*"))


@pytest.mark.user
def test_a_terminal_can_be_gone_back_to(web, terminal):
    terminal.line("run", "-it", "--keep", "--name", "box", "web", "sh")
    assert terminal.shows("/ #")
    terminal.type("-l", "echo kept > /note; exit")
    terminal.type("Enter")
    assert terminal.prompts()
    for words in (("attach", "box"), ("start", "-a", "box"), ("shell", "box")):
        terminal.type("-l", "clear")
        terminal.type("Enter")
        terminal.line(*words)
        assert terminal.shows("/ #"), terminal.screen()
        terminal.type("-l", "cat /note; tty; exit 4")
        terminal.type("Enter")
        assert terminal.shows("kept\n/dev/pts/0"), terminal.screen()
        assert terminal.prompts()
    terminal.type("-l", "echo code=$?")
    terminal.type("Enter")
    assert terminal.shows("code=4"), terminal.screen()


def test_who_leaves_the_output_of_an_instance_is_told_nothing(web, terminal):
    assert web.command("run", "-d", "--name", "job", "web", "sh", "-c", "echo begun; sleep 1000").code == 0
    try:
        for words in (("logs", "-f", "job"), ("attach", "job")):
            terminal.type("-l", "clear")
            terminal.type("Enter")
            terminal.line(*words)
            assert terminal.shows("\nbegun")
            terminal.type("C-c")
            terminal.type("-l", "echo code=$?")
            terminal.type("Enter")
            assert terminal.shows("code=130"), terminal.screen()
            assert "error" not in terminal.screen()
            assert "interrupted" not in terminal.screen()
    finally:
        web.command("rm", "--force", "job")


@pytest.fixture
def web(image):
    return image

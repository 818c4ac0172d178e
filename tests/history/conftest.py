"""A project in a git repository, and packages made by hand."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.made_once import MadeOnce

Make = Callable[[Project], None]


class Git:
    """The real git in a project's folder, with nothing of the user's settings."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.environment = {
            **project.environment,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.test",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.test",
            "GIT_PAGER": "cat",
            **_settings(("core.looseCompression", "0"), ("maintenance.auto", "false")),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words],
            cwd=self.project.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> str:
        self("add", "-A")
        self("commit", "--quiet", "-m", message)
        return self("rev-parse", "HEAD").strip()


def _settings(*settings: tuple[str, str]) -> dict[str, str]:
    """The variables that give git these settings: compressing the base takes longer than building on it."""
    pairs = {}
    for number, (name, value) in enumerate(settings):
        pairs |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **pairs}


def new_repository(project: Project) -> Git:
    """Makes a project's folder a repository."""
    repository = Git(project)
    repository("init", "--quiet", "--initial-branch=main")
    return repository


@pytest.fixture
def git(project: Project) -> Git:
    return new_repository(project)


@pytest.fixture
def again(project: Project, git: Git, made_once: MadeOnce, tmp_path: Path) -> Iterator[Callable[[Make], None]]:
    """A function that makes the project and its repository what a function made of them once."""
    with ExitStack() as stack:

        def make_again(make: Make) -> None:
            stack.enter_context(made_once.again(project, make, tmp_path / "made"))
            git.environment |= project.environment

        yield make_again


class Packages:
    """A folder that is copied to the root of an image: dpkg's and Python's records with the files that they name."""

    SITE = "opt/venv/lib/python3.11/site-packages"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stanzas: dict[str, str] = {}

    def file(self, path: str, content: str) -> None:
        where = self.folder / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(content)

    def debian(self, name: str, version: str, files: dict[str, str], conffiles: tuple[str, ...] = ()) -> None:
        """Installs a package; a later version of it takes its place."""
        for path, content in files.items():
            self.file(path, content)
        sums = {path: hashlib.md5(content.encode()).hexdigest() for path, content in files.items()}
        listed = "".join(f"/{path}\n" for path in files)
        self.file(f"var/lib/dpkg/info/{name}.list", f"/.\n{listed}")
        self.file(
            f"var/lib/dpkg/info/{name}.md5sums",
            "".join(f"{digest}  {path}\n" for path, digest in sums.items() if path not in conffiles),
        )
        conf = "".join(f"\n /{path} {sums[path]}" for path in conffiles)
        self.stanzas[name] = (
            f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
            + (f"Conffiles:{conf}\n" if conf else "")
            + "Description: by hand\n"
        )
        self.file("var/lib/dpkg/status", "\n".join(self.stanzas.values()) + "\n")

    def python(self, name: str, version: str, files: dict[str, str]) -> None:
        """Installs a distribution; an earlier version has to be removed before."""
        rows = []
        for path, content in files.items():
            self.file(f"{self.SITE}/{path}", content)
            digest = urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")
            rows.append(f"{path},sha256={digest},{len(content)}\n")
        info = f"{name}-{version}.dist-info"
        self.file(f"{self.SITE}/{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n")
        self.file(f"{self.SITE}/{info}/RECORD", "".join(rows) + f"{info}/METADATA,,\n{info}/RECORD,,\n")


@pytest.fixture
def packages(project: Project) -> Packages:
    return Packages(project.folder / "root")

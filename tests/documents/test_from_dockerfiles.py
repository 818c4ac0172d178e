"""The table of docs/from-dockerfiles.md: each recipe in it is built, and does what its row says; each instruction of a
Dockerfile beside it is one that `build -f Dockerfile` has a word for."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from envbuild.language.load import load_recipe
from envbuild.linux.machine import architecture
from envbuild.text.diagnostics import RecipeErrors
from envbuild.text.docker_words import STATEMENTS
from tests.conftest import DEBIAN, Project, installs_of, pins_of, wait_for
from tests.documents.blocks import ROOT, blocks_of
from tests.git_server import GitServer, commit, repository

PAGE = ROOT / "docs" / "from-dockerfiles.md"
FOLDER = Path(__file__).with_name("folders") / "from-dockerfiles"
OWN_BASE = re.compile(r"^from ", re.M)
COPIES_APP = re.compile(r"^copy\S* (?:app/|\.) ->", re.M)
NEEDS_DEBIAN = re.compile(r"^(?:apt|pip|npm|shell /bin/bash)\b|\A" + re.escape(DEBIAN) + r"\Z", re.M)
TOKEN = b"s3cret-0123456789"
ADDRESS = "https://example.org/"


@dataclass(frozen=True)
class Row:
    """A line of the table: what is in its first two cells."""

    line: int
    dockerfile: str
    recipe: str

    @property
    def needs_debian(self) -> bool:
        """Tell whether its packages or programs are Debian's; the others are built on busybox, in no time."""
        return NEEDS_DEBIAN.search(self.recipe) is not None


def code_of(cell: str) -> str:
    """Return the lines of code in a cell of a table."""
    return "\n".join(re.findall(r"`([^`]+)`", cell)).replace(r"\|", "|")


def rows() -> Iterator[Row]:
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line)
            yield Row(number, code_of(cells[1]), code_of(cells[2]))


ROWS = list(rows())
Check = Callable[[Project], None]
CHECKS: dict[Row, Check] = {}


def row_with(line: str, beside: str = "") -> Callable[[Check], Check]:
    """Make a function the check of the one row whose recipe has this line (and whose Dockerfile is `beside`)."""
    matching = [row for row in ROWS if line in row.recipe.splitlines() and beside in ("", row.dockerfile)]
    assert len(matching) == 1, (line, matching)

    def keep(check: Check) -> Check:
        assert matching[0] not in CHECKS, matching
        CHECKS[matching[0]] = check
        return check

    return keep


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has tool.tar.gz and the repository tool.git."""
    running = GitServer(tmp_path_factory.mktemp("repositories"))
    running.files["tool.tar.gz"] = archive()
    commit(repository(running.folder / "tool.git"), tool="#!\n")
    yield f"{running.url.removeprefix('git+')}/"
    running.close()


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "store"


def archive() -> bytes:
    """Return an archive with a program, the same each time."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as made:
        info = tarfile.TarInfo("tool/bin/tool")
        info.mode, info.size = 0o755, 3
        made.addfile(info, io.BytesIO(b"#!\n"))
    return gzip.compress(written.getvalue(), mtime=0)


def build(row: Row, folder: Path, store: Path, busybox: Path, server: str) -> None:
    """Build the recipe of a row in a folder as a newcomer's, and check what the row says of it."""
    shutil.copytree(FOLDER, folder)
    shutil.copy(busybox, folder / "busybox.tar")
    (folder / "tool.tar.gz").write_bytes(archive())
    for name in (".git/config", "node_modules/ms/index.js", "private.key"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a secret of this folder\n")
    (folder / ".dockerignore").write_text("**/node_modules\n*.key\n")
    (folder.parent / "token").write_bytes(TOKEN)
    base = DEBIAN if row.needs_debian else "from tar:busybox.tar"
    lines = row.recipe.replace(ADDRESS, server)
    if not OWN_BASE.search(lines):
        packages = "apt python3" if "pip(" in lines else "apt nodejs" if "npm(" in lines else ""
        own = [] if COPIES_APP.search(lines) else ["copy app/ -> /srv/app/", "workdir /srv/app"]
        lines = "\n".join([base, packages, *own, lines])
    project = Project(folder, store)
    done = project.build(lines.replace(DEBIAN, base), options=("--secret", "token=../token") * ("secret=" in lines))
    assert done.code == 0, done.out + done.err
    try:
        CHECKS[row](project)
    finally:
        for instance in json.loads(project.command("ps", "--all", "--format", "json").out):
            project.command("rm", "--force", instance["id"])


def id_of(row: Row) -> str:
    return f"{PAGE.name}:{row.line}"


@pytest.mark.namespaces
@pytest.mark.parametrize("row", [row for row in ROWS if not row.needs_debian], ids=id_of)
def test_a_recipe_of_the_table_does_what_its_row_says(row, tmp_path, shared_store, busybox, server):
    build(row, tmp_path / "project", shared_store, busybox, server)


@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.nightly
@pytest.mark.parametrize("row", [row for row in ROWS if row.needs_debian], ids=id_of)
def test_a_recipe_of_the_table_with_packages_does_what_its_row_says(row, tmp_path, debian_store, busybox, server):
    build(row, tmp_path / "project", debian_store, busybox, server)


def test_each_instruction_leads_to_its_form():
    """As `build -f Dockerfile` shows it: every instruction is an error, with a hint that begins so."""
    (whole,) = [block.text for block in blocks_of(PAGE) if block.language == "dockerfile"]
    written = "\n".join([whole, *(row.dockerfile for row in ROWS)])
    instructions = re.sub(r"<<EOF(.*)\n(?:.*\n)*?EOF$|\\\n", r"\1", written, flags=re.M)
    words = re.findall(r"^[A-Z]+", instructions, re.M)
    assert set(words) == {word.upper() for word in STATEMENTS if word != "test"}, "the page has all of them"
    with pytest.raises(RecipeErrors) as refused:
        load_recipe("Dockerfile", {}, arch="amd64", read=lambda _: instructions.encode())
    refusals = [(error.message, error.hint) for error in refused.value.diagnostics]
    assert [message for message, _ in refusals] == [f"unknown statement '{word}'" for word in words]
    assert [message for message, hint in refusals if not hint.startswith("a recipe says: ")] == []


def test_each_row_is_checked():
    assert [row.line for row in ROWS if row not in CHECKS] == []


def run(project: Project, *words: str) -> str:
    """Run the image, with these words behind its name."""
    done = project.command("run", "web", *words)
    assert done.code == 0, done.err
    return done.out


def edit(project: Project, name: str, *lines: str) -> None:
    (project.folder / name).write_text("\n".join((*lines, "")))


def installed(project: Project) -> set[str]:
    return {package["name"] for package in json.loads(project.command("packages", "web", "--format", "json").out)}


@row_with(DEBIAN, "FROM debian:latest")
def _(project: Project) -> None:
    (stage,) = pins_of(project.folder / "web.env.lock")["stages"]
    packages = [*stage["packages"], *stage["pulled"]]
    assert {package["name"] for package in packages} == installed(project)
    assert all(package["version"] and package["hash"] for package in packages)


@row_with("apt nodejs")
def _(project: Project) -> None:
    assert run(project, "--", "node", "-p", "1+1") == "2\n"


@row_with("apt curl")
def _(project: Project) -> None:
    (statement,) = installs_of(project.folder / "web.env.lock")
    assert {package["name"]: package["version"] for package in statement["packages"]}["curl"].startswith("7.")
    assert "publicsuffix" not in installed(project), "it is only recommended"
    assert {*project.ls("/var/lib/apt/lists"), *project.ls("/var/cache/apt/archives")} == {"partial"}


@row_with("pip(into=/opt/venv) -r requirements.txt")
def _(project: Project) -> None:
    assert run(project, "--", "python", "-c", "import flask; print(flask.__name__)") == "flask\n"
    edit(project, "app/entry.sh")
    assert [text.split()[0] for text in project.build().ran] == ["copy"]


@row_with("npm(into=/srv/app) -r .")
def _(project: Project) -> None:
    assert run(project, "--", "node", "-p", "require('ms')('1m')") == "60000\n"


@row_with("copy . -> /srv/app/", "COPY . .")
def _(project: Project) -> None:
    copied = set(project.ls("/srv/app"))
    assert copied.isdisjoint({".git", "node_modules", "private.key", "web.env.lock"})
    assert copied >= {"package.json", ".dockerignore", "app"}


@row_with("copy app/ -> /srv/app/", "COPY app /srv/app/")
def _(project: Project) -> None:
    assert set(project.ls("/srv/app")) == {"build.sh", "entry.sh"}


@row_with('copy(owner=1000, mode="go-w") app/ -> /srv/app/')
def _(project: Project) -> None:
    entry = project.ls("/srv/app")["build.sh"]
    assert (entry["uid"], entry["mode"]) == (1000, "0755")


@row_with("fetch(unpack) https://example.org/tool.tar.gz -> /opt/")
def _(project: Project) -> None:
    assert set(project.ls("/opt")) == {"tool"}
    assert sha256(archive()).hexdigest() in (project.folder / "web.env.lock").read_text()


@row_with("copy(unpack) tool.tar.gz -> /opt/")
def _(project: Project) -> None:
    assert set(project.ls("/opt")) == {"tool"}
    edit(project, "tool.tar.gz", "no archive")
    assert project.build().code != 0


@row_with("fetch git+https://example.org/tool.git@main -> /opt/tool")
def _(project: Project) -> None:
    assert set(project.ls("/opt/tool")) == {"tool"}
    (pinned,) = pins_of(project.folder / "web.env.lock")["commits"].values()
    assert re.fullmatch("[0-9a-f]{40}", pinned)


@row_with("run rm -rf objects")
def _(project: Project) -> None:
    assert set(project.ls("/srv/app")) == {"build.sh", "entry.sh", "program"}
    (last,) = project.show()["steps"][-1:]
    assert (last["removed"], last["freed"]) == (1, len("object\n"))


@row_with("copy(from=build) /srv/app/program -> /usr/bin/")
def _(project: Project) -> None:
    assert (run(project, "--", "/usr/bin/program"), "srv" in project.ls()) == ("program \n", False)


@row_with("workdir /srv/app")
def _(project: Project) -> None:
    assert (run(project, "--", "pwd"), "program" in project.ls("/srv/app")) == ("/srv/app\n", True)


@row_with("    ./program")
def _(project: Project) -> None:
    assert "objects" not in project.ls("/srv/app")
    edit(project, "app/build.sh", "exit 3")
    assert project.build().code == 1


@row_with("file /etc/app.conf")
def _(project: Project) -> None:
    assert (project.cat("/etc/app.conf"), "program" in project.ls("/srv/app")) == ("port = 8080\n", True)


@row_with("run ./build.sh | tee log")
def _(project: Project) -> None:
    assert project.cat("/srv/app/log") == "built\n"
    edit(project, "app/build.sh", "exit 3")
    assert project.build().code == 1


@row_with("run(cache=/root/.cache) ./build.sh")
def _(project: Project) -> None:
    assert ("program" in project.ls("/srv/app"), ".cache" in project.ls("/root")) == (True, False)


@row_with("run(mount=app:/src) sh /src/build.sh")
def _(project: Project) -> None:
    assert ("program" in project.ls("/srv/app"), "src" in project.ls()) == (True, False)


@row_with('param version = "1.2"')
def _(project: Project) -> None:
    assert run(project, "--", "sh", "-c", "echo $VERSION") == "1.2\n"
    assert project.build(options=("--set", "version=1.3")).code == 0
    assert run(project, "--", "sh", "-c", "echo $VERSION") == "1.3\n"
    assert project.show()["parameters"] == {"version": "1.3"}


@row_with('run(secret=token) ./build.sh "$(cat /run/secrets/token)"')
def _(project: Project) -> None:
    assert ("program" in project.ls("/srv/app"), "run" in project.ls()) == (True, False)
    for path in [project.folder / "web.env.lock", *project.store.rglob("*")]:
        assert not path.is_file() or TOKEN not in path.read_bytes(), path


@row_with("copy bin-${arch}/ -> /usr/local/bin/")
def _(project: Project) -> None:
    assert run(project, "--", "/usr/local/bin/tool") == f"{architecture()}\n"


@row_with("user app")
def _(project: Project) -> None:
    assert run(project, "--", "whoami") == "app\n"
    assert project.ls("/srv/app")["build.sh"]["uid"] == project.ls("/srv")["app"]["uid"] != 0


@row_with('start ["serve"]')
def _(project: Project) -> None:
    assert run(project) == "entry serve\n"
    assert run(project, "--", "check") == "entry check\n"
    done = project.command("run", "--entry", "echo", "web")
    assert done.out == "\n"


@row_with('start exec ./program --port "$PORT"')
def _(project: Project) -> None:
    edit(
        project,
        "app/program",
        "#!/bin/sh",
        "trap 'echo stopped; exit' TERM",
        'echo "$*"',
        "while :; do sleep 0.1; done",
    )
    (project.folder / "app/program").chmod(0o755)
    assert project.build().code == 0
    assert project.command("run", "-d", "--name", "one", "-e", "PORT=80", "web").code == 0
    assert wait_for(lambda: "--port 80" in project.command("logs", "one").out)
    assert project.command("stop", "one").code == 0
    assert "stopped" in project.command("logs", "one").out


@row_with("health(every=10s, start-period=30s) wget -q -O /dev/null http://127.0.0.1/")
def _(project: Project) -> None:
    health = project.show()["facts"]["health"]
    assert (health["every"], health["start_period"]) == (10, 30)


@row_with("volume /var/lib/app")
def _(project: Project) -> None:
    assert project.command("run", "-d", "--name", "two", "web", "--", "sleep", "1000").code == 0
    assert project.command("exec", "two", "--", "ls", "/var/lib/app").out == "begun\n"


@row_with("expose 8080")
def _(project: Project) -> None:
    assert project.command("run", "-d", "--name", "three", "-P", "web", "--", "sleep", "1000").code == 0
    (instance,) = json.loads(project.command("ps", "--format", "json").out)
    assert [port["inside"] for port in instance["ports"]] == [8080]


@row_with("stop QUIT")
def _(project: Project) -> None:
    facts = project.show()["facts"]
    assert facts["labels"] == {"org.opencontainers.image.version": "1.2", "maintainer": "ada"}
    assert facts["stop"] == "QUIT"


@row_with("include common.env")
def _(project: Project) -> None:
    assert set(project.ls("/srv/app")) == {"build.sh", "entry.sh"}

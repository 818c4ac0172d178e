"""What short commands import: each module costs start-up time."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.namespaces
LOADED = Path(__file__).with_name("loaded_modules.py")
LATE = ("argparse", "re", "enum", "json", "typing", "sqlite3", "collections", "functools", "contextlib", "threading")
FOR_THREADS = ("ctypes", "threading", "contextlib")
HEAVY = ("lark", "rich", "jinja2", "yaml", "asyncio", "logging", "subprocess", "dataclasses", "tarfile")


def loaded(project, modules: tuple[str, ...], *words: str) -> str:
    """The exit code of a command, and those of the modules that it has imported."""
    done = subprocess.run(
        [sys.executable, str(LOADED), " ".join(modules), *words],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout or done.stderr).splitlines()[-1]


def test_a_rebuild_with_nothing_to_do_imports_nothing_heavy(web):
    web.build()
    assert loaded(web, (*HEAVY, *LATE), "build", "web.env") == "0 []"


def test_a_build_of_an_edited_recipe_compiles_no_expressions(project):
    """`re` and what it loads take 4 ms, its compilations 5; the pack of a command keeps what came of them."""
    project.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # with which no pack is written
    project.build("env A=1", "run echo hello > /greeting")
    project.write("web.env", (project.folder / "web.env").read_text() + "run echo edited > /edited")
    modules = ("envbuild.language.lalr", "lark", "envbuild.build.missing_network", "unicodedata", *FOR_THREADS)
    assert loaded(project, modules, "build", "web.env") == "0 ['envbuild.language.lalr']"
    for number in range(3):  # the pack of this command learns it, which commands that are forked don't write
        project.write("web.env", (project.folder / "web.env").read_text() + f"run echo {number} > /edited")
        assert project.start("build", "web.env").wait() == 0
    project.write("web.env", (project.folder / "web.env").read_text() + "run echo last > /edited")
    where = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "envbuild", "build", "web.env"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert " re._compiler" not in where.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("tag", "web", "web:other"),
        ("ps",),
        ("ps", "--all", "--format", "json"),
        ("diff", "web", "web"),
        ("run", "web", "--", "true"),
        ("run", "-d", "--rm", "web", "--", "true"),
    ],
)
def test_a_short_command_imports_nothing_heavy(web, words):
    assert loaded(web, HEAVY, *words) == "0 []"


def test_run_imports_neither_ctypes_nor_threading(web):
    assert loaded(web, FOR_THREADS, "run", "web", "--", "true") == "0 []"


def test_exec_loads_nothing_that_starts_an_instance(web):
    assert web.command("run", "-d", "--name", "job", "web", "--", "sleep", "1000").code == 0
    others = ("envbuild.store.store", "envbuild.instances.launch", "envbuild.instances.supervisor")
    try:
        assert loaded(web, (*HEAVY, *others), "exec", "job", "--", "true") == "0 []"
    finally:
        web.command("rm", "--force", "job")

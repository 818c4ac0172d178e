"""What the Pythons that build sources write of bytecode."""

import os
import subprocess
import sys
from importlib import resources

import pytest


@pytest.fixture
def python(tmp_path):
    """Runs code as a Python does that pip starts; its own pip lies in the folder `pip-x`."""
    (tmp_path / "pip-x").mkdir()

    def start(code: str, *path: object) -> str:
        hooks = resources.files("envbuild.packages.inside") / "hooks"
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": ":".join(map(str, (hooks, *path))),
            "ENVBUILD_PIP": str(tmp_path / "pip-x"),
        }
        words = [sys.executable, "-S", "-c", f"import sitecustomize\n{code}"]
        return subprocess.run(words, env=variables, check=True, capture_output=True, text=True).stdout

    return start


def package(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("x = 1\n")
    return folder / name / "__pycache__"


def test_pip_and_what_builds_need_are_compiled_once_and_nothing_else_is_written(tmp_path, python):
    own = package(tmp_path / "pip-x", "pip")
    needed = package(tmp_path / "pip-build-env-y", "needed")
    project = package(tmp_path / "project", "project")
    python("import pip, needed, project", own.parents[1], needed.parents[1], project.parents[1])
    assert [cache.exists() for cache in (own, needed, project)] == [True, True, False]


def test_a_pip_of_the_tree_stays_as_it_is(tmp_path, python):
    of_tree = package(tmp_path / "usr", "pip")
    (tmp_path / "pip-x" / "pip").symlink_to(of_tree.parent)
    python("import pip", tmp_path / "pip-x")
    assert not of_tree.exists()


def test_the_module_of_the_tree_that_would_have_been_run_is_run_too(tmp_path, python):
    (tmp_path / "sitecustomize.py").write_text("print('of the tree')\n")
    assert python("pass", tmp_path) == "of the tree\n"

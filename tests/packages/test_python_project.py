"""What a project of the recipe's folder needs, as its pyproject.toml says it."""

import pytest

from envbuild.errors import UsageError
from envbuild.packages.python_project import (
    UnusableProject,
    files_of_project,
    folder_and_extras,
    needs_sources,
    requirements_of,
    what_decides,
)
from envbuild.plan.step import PROJECT, InstallPackages


def needs(word: str, files: dict[str, str]) -> tuple[list[str], bool]:
    """What a project needs, and whether only its sources say all of it."""

    def read(path: str, option: str) -> bytes:
        if path not in files:
            raise UsageError(f"{path} is not there")
        return files[path].encode()

    action = InstallPackages("pip", (), ((PROJECT, word),), (), (), "")
    contents = tuple(files_of_project(word, "pip .", read).items())
    return requirements_of(action, contents), needs_sources(action, contents)


STATIC = """[project]
name = "My.Shop"
dependencies = ["flask>=3", "colorama; os_name == 'nt'"]
[project.optional-dependencies]
web = ["gunicorn", "my-shop[fast]"]
fast = ["uvloop", "my_shop[web]"]
"""


def test_dependencies_and_extras_are_read_from_the_project_itself():
    own = ["flask>=3", "colorama; os_name == 'nt'"]
    assert needs(".", {"pyproject.toml": STATIC}) == (own, False)
    assert needs("./sub/../app[web]", {"app/pyproject.toml": STATIC}) == ([*own, "gunicorn", "uvloop"], False)
    with pytest.raises(UnusableProject, match="no extra 'nope'") as refused:
        needs(".[nope]", {"pyproject.toml": STATIC})
    assert refused.value.hint == "it has: fast, web"


def test_a_project_that_leaves_it_to_a_program_is_asked_with_its_sources():
    dynamic = '[project]\nname = "a"\ndynamic = ["dependencies"]\n[tool.setuptools.dynamic]\n'
    file = 'dependencies = { file = ["needs.txt"] }\n'
    files = {"pyproject.toml": dynamic + file, "needs.txt": "flask", "setup.cfg": "[x]"}
    assert needs(".", files) == ([], True)
    assert needs(".", {"setup.py": "setup()"}) == ([], True)

    def decides(**edited: str) -> dict[str, bytes]:
        now = {**files, **edited}
        return files_of_project(".", "pip", lambda path, _: now[path].encode() if path in now else refuse())

    def refuse() -> bytes:
        raise UsageError("not there")

    assert decides() != decides(**{"needs.txt": "flask<3"}), "what setuptools reads is part of the question"


def test_edits_that_decide_nothing_are_not_asked_about():
    once = b'[project]\nname = "a"\ndependencies = ["b"]\n'
    same = b'[tool.black]\nx = 1\n[project]\ndependencies = ["b"]\ndescription = "x"\nname = "a"\n'
    assert what_decides("p", once) == what_decides("p", same)
    assert what_decides("p", once) != what_decides("p", once.replace(b'"b"', b'"c"'))


@pytest.mark.parametrize("text", ["x = ", "x = " + "[" * 5000 + "]" * 5000, "\ud800"])
def test_what_is_not_toml_is_refused_with_its_name(text):
    with pytest.raises(UnusableProject, match=r"^app/pyproject.toml: "):
        needs("./app", {"app/pyproject.toml": text.encode("utf-8", "surrogatepass").decode("latin-1")})


def test_what_is_no_directory_with_extras_is_refused():
    with pytest.raises(UnusableProject):
        folder_and_extras("./a]b[")

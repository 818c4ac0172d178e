"""What a resolution leaves in its folder is as trustworthy as what ran in the sandbox: it is read as plain files."""

import json

import pytest

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.documents import BadDocument
from envbuild.packages.pip_tasks import read_answer
from envbuild.plan.step import InstallPackages
from tests.attacks.test_package_names import PYTHON, fake_python

pytestmark = pytest.mark.namespaces
OUT = "/run/envbuild/out"


def build(project, script: str):
    fake_python(project, script)
    project.write("answers/none", "")
    return project.build(*PYTHON, "pip(into=/v) alpha")


def test_a_pipe_there_does_not_hang_the_build(project):
    done = build(project, f"mkfifo {OUT}/found.json")
    assert done.code == 1
    assert "found.json is not a plain file" in done.out


def test_a_link_there_is_not_followed(project, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"found": [{"name": "of-the-host", "version": "1"}]}))
    secret.chmod(0o644)
    for name, code in (("found.json", 0), ("python", 64)):
        done = build(project, f"ln -s {secret} {OUT}/{name}; exit {code}")
        assert done.code == 1, name
        assert f"{name} is not a plain file" in done.out
        assert "of-the-host" not in done.out + done.err, name


def test_a_folder_and_nothing_at_all(project):
    assert "found.json is not a plain file" in build(project, f"mkdir {OUT}/found.json").out
    assert "found.json: No such file" in build(project, "true").out


def test_a_file_without_end_is_not_read(project):
    done = build(project, f"dd if=/dev/zero of={OUT}/found.json bs=1 count=1 seek=100000000 2> /dev/null")
    assert done.code == 1
    assert "is larger than" in done.out


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{}",
        "[]",
        '{"found": 1}',
        '{"found": [1]}',
        '{"found": [{"name": 1}]}',
        '{"found": [{"name": "a", "version": "1", "url": "http://x.test/a-1.zip", "sha256": "x"}]}',
        '{"found": [{"name": "a", "version": "1", "url": "http://[x/a-1.zip", "sha256": "%s"}]}' % ("0" * 64),
    ],
)
def test_an_answer_that_is_none(text):
    action = InstallPackages("pip", ("alpha",), (), (("into", "/v"),), (), "/")
    with pytest.raises((BadDocument, UnsafeName)):
        read_answer(text.encode(), action, ())


def test_an_answer_that_is_none_ends_a_build(project):
    fake_python(project)
    for text in ("[" * 100_000, '{"found": [1]}'):
        project.write("answers/found.json", text)
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert done.code == 1, text[:100]
        assert "not as it should be" in done.out, text[:100]


def test_a_version_of_python_that_is_none(project):
    for said in ("3.11/../../x", "3", "3.11\\n", "x" * 100):
        done = build(project, f"printf '{said}' > {OUT}/python; exit 64")
        assert done.code == 1, said
        assert "is not a version" in done.out, said

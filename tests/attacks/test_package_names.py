"""Names that locks, indexes, resolvers and packages give are data: none becomes a path that leads anywhere."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_tasks
from tests.conftest import Project
from tests.packages.wheels import wheel

PYTHON = ("copy fake/python3 -> /bin/python3", "copy answers/ -> /answers/")
NO_INDEX = {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
UP = "..%2f" * 40
"""Enough to come to the root of the file system from any folder of a store."""


def fake_python(project: Project, script: str = "cp /answers/* /run/envbuild/out/") -> None:
    """A Python that answers resolutions with `script`, and installs by showing what it was given."""
    path = project.write(
        "fake/python3",
        "#!/bin/sh",
        "if [ -d /run/envbuild/out ]; then",
        script,
        "exit $?",
        "fi",
        "mkdir -p /opt; ls /run/envbuild/packages > /opt/given",
    )
    path.chmod(0o755)


def answer(project: Project, content: bytes, url: str, *, direct: bool = False, **changed: object) -> None:
    """What the fake Python says that the resolution came to."""
    sha256 = hashlib.sha256(content).hexdigest()
    package = {
        "name": "alpha",
        "version": "1.0",
        "url": url,
        "sha256": sha256,
        "direct": direct,
        "build": False,
        **changed,
    }
    project.write("answers/found.json", json.dumps({"found": [package], "pip": ["/usr/lib/pip"]}))


@pytest.fixture
def pip(project, attacker):
    """A project with an index on the attacker's server and a package in it."""
    content = wheel("alpha", "1.0")
    name = "alpha-1.0-py3-none-any.whl"
    attacker.serve(f"/files/{name}", content)
    link = f'<a href="/files/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'
    attacker.serve("/simple/alpha/", link.encode(), Content_Type="text/html")
    project.environment |= {**NO_INDEX, "PIP_INDEX_URL": f"{attacker.url}/simple"}
    fake_python(project)
    answer(project, content, f"{attacker.url}/files/{name}")
    return content


def escaped(project: Project) -> Path:
    return project.folder / "escaped-1.0-py3-none-any.whl"


def to_the_project(project: Project) -> str:
    """A file name that leads out of the folder of packages and into the project, as an address has it."""
    return UP + str(escaped(project)).lstrip("/").replace("/", "%2f")


@pytest.mark.namespaces
class TestPip:
    def test_a_changed_line_of_a_lock_links_nothing_elsewhere(self, project, pip):
        assert project.build(*PYTHON, "pip(into=/v) alpha").code == 0
        lock = project.folder / "web.env.lock"
        lock.write_text(
            lock.read_text().replace("index/alpha-1.0-py3-none-any.whl", f"index/{to_the_project(project)}")
        )
        done = project.build(options=("--no-cache",))
        assert not escaped(project).exists()
        assert done.code == 1
        assert "is not the file name of a wheel" in done.err
        assert "nothing was written" in done.err

    def test_an_address_in_a_lock_that_the_statement_does_not_name_is_asked_for_again(self, project, pip, attacker):
        assert project.build(*PYTHON, "pip(into=/v) alpha").code == 0
        lock = project.folder / "web.env.lock"
        before = lock.read_text()
        for hostile in (f"{attacker.url}/x/{to_the_project(project)}", f"{attacker.url}/x/alpha-1.0-py3-none-any.whl"):
            lock.write_text(before.replace("index/alpha-1.0-py3-none-any.whl", hostile))
            refused = project.build(options=("--no-cache", "--locked"))
            assert refused.code == 1
            assert not escaped(project).exists()
        done = project.build(options=("--no-cache",))
        assert done.code == 0, done.out
        assert lock.read_text() == before
        assert not [path for path in attacker.asked if path.startswith("/x/")]

    def test_an_address_from_a_resolution_becomes_no_path(self, project, pip, attacker):
        hostile = f"{attacker.url}/x/{to_the_project(project)}"
        attacker.serve(hostile.removeprefix(attacker.url), pip)
        for direct in (False, True):
            answer(project, pip, hostile, direct=direct)
            done = project.build(*PYTHON, "pip(into=/v) alpha")
            assert (done.code, escaped(project).exists()) == (1, False), done.out
        answer(project, pip, hostile.replace("%2f", "%252f"))
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert (done.code, escaped(project).exists()) == (1, False), done.out

    def test_an_address_that_only_a_package_asks_for_is_refused(self, project, pip, attacker):
        attacker.serve("/x/alpha-1.0-py3-none-any.whl", pip)
        answer(project, pip, f"{attacker.url}/x/alpha-1.0-py3-none-any.whl", direct=True)
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert done.code == 1
        assert "this statement does not" in done.out
        named = f'"alpha @ {attacker.url}/x/alpha-1.0-py3-none-any.whl"'
        done = project.build(*PYTHON, f"pip(into=/v) {named}")
        assert done.code == 0, done.out
        assert project.build(options=("--no-cache", "--locked")).code == 0

    def test_another_file_of_the_same_name_is_not_asked_for(self, project, pip, attacker):
        """An index that has the locked name with another hash gave no address for the locked one."""
        assert project.build(*PYTHON, "pip(into=/v) alpha").code == 0
        digest = hashlib.sha256(pip).hexdigest()
        (project.store / "packages" / f"sha256-{digest}").unlink()
        page = attacker.replies["/simple/alpha/"][2]
        attacker.serve("/simple/alpha/", page.replace(digest.encode(), b"0" * 64))
        attacker.asked.clear()
        done = project.build(options=("--no-cache", "--locked"))
        assert done.code == 1
        assert "with another hash" in done.out
        assert not [path for path in attacker.asked if path.startswith("/files/")]

    def test_a_name_or_version_that_is_none_goes_no_further(self, project, pip, attacker):
        for field, value in (
            ("name", "alpha\n--extra-index-url http://attacker.test/"),
            ("name", "alpha @ http://attacker.test/x.whl"),
            ("version", "1.0\n-e ."),
            ("version", "../1.0"),
        ):
            answer(project, pip, f"{attacker.url}/files/alpha-1.0-py3-none-any.whl", **{field: value})
            done = project.build(*PYTHON, "pip(into=/v) alpha")
            assert done.code == 1, (field, value)
            assert f"is not the {field} of a Python distribution" in done.out, value

    def test_other_fields_of_a_locked_package(self, project, pip):
        assert project.build(*PYTHON, "pip(into=/v) alpha").code == 0
        lock = project.folder / "web.env.lock"
        honest = lock.read_text()
        for field, value in (
            ("name", "alpha\\n--extra-index-url http://attacker.test/"),
            ("version", "1.0\\n-e ."),
            ("hash", "sha256:../../../../etc/passwd"),
            ("hash", "sha256:" + "0" * 63),
            ("hash", "md5:" + "0" * 32),
            ("from", "tree/../../etc/passwd"),
            ("from", "tree//proc/1/root/x-1.0-py3-none-any.whl"),
            ("from", "file:///etc/passwd"),
        ):
            forged = re.sub(rf'({field}: )"[^"]*"(?=[,}}])', lambda m, value=value: f'{m[1]}"{value}"', honest)
            assert forged != honest, (field, value)
            lock.write_text(forged)
            done = project.build(options=("--no-cache",))
            assert done.code in (1, 2), (field, value, done.out)
            assert "hint:" in done.err + done.out or "is not" in done.out, (field, value)


SITE = "http://mirror.test/debian"
ZEROS = f"SHA256:{'0' * 64}"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("pool/..%2f..%2fx%2f..", "hello_1_all.deb"),
        ("pool/x_1_all.deb%0aFilename:%20%2fetc%2fpasswd", "hello_1_all.deb"),
        ("pool/x_1_all.deb%00", "hello_1_all.deb"),
        ("pool/..", "hello_1_all.deb"),
        ("pool/", "hello_1_all.deb"),
        ("../../x_1_all.deb", "hello_1_all.deb"),
        ("pool/hello_1_all.deb", "hello.deb"),
        ("pool/hello_1_all.deb", "hello%0a_1_all.deb"),
        ("pool/hello_1_all.deb", "hello_1%0aPin:x_all.deb"),
        ("pool/hello_1_all.deb", "..%2fhello_1_all.deb"),
    ],
)
def test_what_apt_says_of_a_package_becomes_no_path_and_no_field(uri, file):
    with pytest.raises(UnsafeName, match="Debian package"):
        apt_tasks.read_answer(f"'{SITE}/{uri}' {file} 1 {ZEROS}", "amd64", [SITE])


def test_what_apt_says_of_a_plain_package():
    line = f"'{SITE}/pool/main/h/./hello_2.10-3_amd64.deb' hello_1%3a2.10-3_amd64.deb 1 {ZEROS}"
    ((package, _),) = apt_tasks.read_answer(line, "amd64", [SITE])
    assert (package.version, package.origin) == ("1:2.10-3", "debian/pool/main/h/hello_2.10-3_amd64.deb")
    assert apt_tasks.file_name(package) == "hello_2.10-3_amd64.deb"


NODE = """\
#!/bin/sh
case "$1" in -p) echo '["v18.0.0", "x64"]';; esac
"""
NPM = """\
#!/bin/sh
cp /answers/package-lock.json .
"""


@pytest.mark.namespaces
def test_npm_packages_lie_below_node_modules(project):
    for name, text in (("node", NODE), ("npm", NPM)):
        project.write(f"fake/{name}", text).chmod(0o755)
    package = {
        "version": "1.0.0",
        "integrity": "sha512-" + "A" * 86 + "==",
        "resolved": "https://r.test/x/-/x-1.0.0.tgz",
    }
    for path in ("node_modules/../../../etc/cron.d/x", "node_modules/@x/../../y", "node_modules/.bin"):
        project.write("answers/package-lock.json", json.dumps({"packages": {"": {}, path: package}}))
        done = project.build("copy fake/ -> /bin/", "copy answers/ -> /answers/", "npm(into=/srv) x")
        assert done.code == 1, (path, done.out)
        assert "is not the name of a Node package" in done.out, path


@pytest.mark.parametrize("hash", ["", "sha256", "sha256:", "sha256:" + "A" * 64, "sha256:/" + "0" * 63, "sha1:../x"])
def test_a_package_has_a_hash(hash):
    with pytest.raises(ValueError, match="has the hash"):
        Package("a", "1", hash, "index/a-1-py3-none-any.whl")

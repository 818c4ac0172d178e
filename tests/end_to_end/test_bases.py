"""Where stages start, and the recipes that ship."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import poor_machines
from tests.conftest import Project

pytestmark = pytest.mark.namespaces
RECIPES = Path(__file__).parents[2] / "recipes"
needs_curl = pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed on this machine")
needs_dpkg = pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no dpkg on this machine")


@pytest.mark.user
def test_scratch_is_nothing_at_all(project):
    project.write("x", "1")
    done = project.build("from scratch", "copy x -> /x")
    assert done.code == 0, done.err
    assert set(project.ls("/")) == {"x"}
    assert project.show()["facts"]["epoch"] == 315532800
    failed = project.build("from scratch", "run true")
    assert failed.code == 1
    assert "there is no program '/bin/sh'" in failed.of("step-failed")[0]["message"]


@needs_dpkg
@pytest.mark.user
def test_host_is_a_system_in_which_apt_dpkg_and_python_work(project):
    done = project.build(
        "from host(python3)",
        "run",
        "    dpkg --audit",
        "    apt-get check -q",
        "    dpkg -l apt | grep -q ^ii",
        "    python3 -c 'import ssl, sqlite3, ctypes'",
        "    awk 'BEGIN {print 1}' > /dev/null",
        "    test -s /etc/ld.so.cache && ldconfig -p | grep -q libc.so.6",
        "    su -c true root",
        "    dpkg-query -W | wc -l",
    )
    assert done.code == 0, done.printed
    assert "home" in project.ls("/")
    accounts = project.cat("/etc/passwd")
    assert "root:x:0:0:" in accounts
    for name in ("envbuild-ci", "evuser"):
        assert name not in accounts
    assert project.ls("/etc/apt/sources.list.d") == {}


@needs_dpkg
@pytest.mark.user
def test_a_package_can_be_installed_into_host(project):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    folder = project.folder / "pkg"
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "usr/share/tiny").mkdir(parents=True)
    (folder / "usr/share/tiny/file").write_text("tiny\n")
    (folder / "DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: tiny\n"
    )
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", folder, project.folder / "tiny.deb"], check=True)
    done = project.build("from host", "run(mount=tiny.deb:/mnt/tiny.deb) dpkg -i /mnt/tiny.deb; dpkg --audit")
    assert done.code == 0, done.printed
    assert project.cat("/usr/share/tiny/file") == "tiny\n"


@needs_dpkg
def test_a_name_that_host_does_not_have_is_named(project):
    done = project.build("from host(python33)")
    assert done.code == 2
    assert "python33" in done.of("step-failed")[0]["message"]


def test_tar_of_garbage_and_of_nothing(project):
    project.write("bad.tar", "garbage" * 200)
    done = project.build("from tar:bad.tar")
    assert done.code == 2
    assert "not a tar archive" in done.of("step-failed")[0]["message"]
    missing = project.build("from tar:none.tar")
    assert missing.code == 2
    assert "none.tar" in missing.err


def test_a_registry_that_does_not_answer_is_named(project):
    done = project.build("from registry:127.0.0.1:1/x")
    assert done.code == 1
    assert "127.0.0.1:1" in done.of("step-failed")[0]["message"]


def test_debian_without_mmdebstrap_names_the_package(project):
    project.write("web.env", "from debian:bookworm")
    done = project.call(poor_machines.without_mmdebstrap, "build", "web.env")
    assert done.returncode == 3
    assert "apt-get install mmdebstrap" in done.stderr


def shipped(tmp_path: Path, name: str) -> Project:
    folder = tmp_path / "recipes"
    shutil.copytree((RECIPES / name).parent, folder)
    return Project(folder, tmp_path / "store")


@needs_dpkg
def test_the_recipe_hello(tmp_path):
    project = shipped(tmp_path, "hello.env")
    assert project.build(name="hello.env").code == 0
    assert project.command("run", "hello").out.startswith("hello world, from ")


@needs_dpkg
@needs_curl
def test_the_recipe_tools(tmp_path):
    project = shipped(tmp_path, "shared/tools.env")
    done = project.build(name="tools.env")
    assert done.code == 0, done.err
    assert project.command("run", "tools", "--", "id", "-un").out == "dev\n"


@pytest.fixture
def shared_store(debian_store):
    """The store of all recipes on Debian: its base is made once."""
    return debian_store


@pytest.mark.mirror
@pytest.mark.slow
class TestOnDebian:
    """Each of these fetches packages through the machine's own mirror."""

    @pytest.mark.user
    def test_a_debian_base_keeps_nothing_of_this_machine(self, tmp_path, shared_store):
        folder = tmp_path / "p"
        folder.mkdir()
        project = Project(folder, shared_store)
        done = project.build("from debian:bookworm", "run dpkg --audit; cat /etc/debian_version; apt-get check -q")
        assert done.code == 0, done.err
        assert project.ls("/etc/apt/sources.list.d") == {}
        assert "sources.list" not in project.ls("/etc/apt")
        assert "resolv.conf" not in project.ls("/etc")
        assert project.ls("/etc").get("machine-id", {"size": 0})["size"] == 0
        assert project.ls("/var/lib/apt/lists/partial") == {}

    def test_an_unknown_suite_is_told_with_apt_s_reason(self, tmp_path, shared_store):
        folder = tmp_path / "p"
        folder.mkdir()
        done = Project(folder, shared_store).build("from debian:nosuchsuite")
        assert done.code == 1
        assert "nosuchsuite" in done.of("step-failed")[0]["message"]

    @pytest.mark.nightly  # a compiler of Debian; test_statements.py has stages
    def test_compile_in_one_stage_ship_another(self, tmp_path, shared_store):
        project = shipped(tmp_path, "compile/compile.env")
        project.environment["ENVBUILD_STORE"] = str(shared_store)
        done = project.build(name="compile.env")
        assert done.code == 0, done.err + done.printed[-2000:]
        assert project.command("run", "sum", stdin=b"1 2 3\n").out == "6\n"
        assert set(project.ls("/", "sum")) == {"bin"}

    @pytest.mark.nightly
    def test_gnu_hello_from_its_source_package_with_its_own_tests(self, tmp_path, shared_store):
        project = shipped(tmp_path, "gnu-hello/gnu-hello.env")
        project.environment["ENVBUILD_STORE"] = str(shared_store)
        done = project.build(name="gnu-hello.env", options=("--jobs", "2"))
        assert done.code == 0, done.err + done.printed[-2000:]
        assert "# PASS:" in done.printed
        assert "# FAIL:  0" in done.printed
        assert project.command("run", "gnu-hello").out == "Hello, world!\n"

    @pytest.mark.nightly  # a service of Debian's
    def test_a_web_service_answers(self, tmp_path, shared_store):
        project = shipped(tmp_path, "web/web.env")
        project.environment["ENVBUILD_STORE"] = str(shared_store)
        done = project.build(name="web.env")
        assert done.code == 0, done.err + done.printed[-2000:]
        script = "import service; print(service.app.test_client().get('/').data.decode())"
        assert (
            "made by web for production with flask 3.0.3"
            in project.command("run", "web", "--", "python", "-c", script).out
        )
        # An edit of the application installs nothing again.
        (project.folder / "app/service.py").write_text((project.folder / "app/service.py").read_text() + "\n# more\n")
        assert all("apt-get" not in text and "pip" not in text for text in project.build(name="web.env").ran)

    @pytest.mark.nightly
    def test_data_science(self, tmp_path, shared_store):
        project = shipped(tmp_path, "science/science.env")
        project.environment["ENVBUILD_STORE"] = str(shared_store)
        done = project.build(name="science.env")
        assert done.code == 0, done.err + done.printed[-2000:]

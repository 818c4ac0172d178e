"""`pip`: into a virtual environment of the image's own Python, from a loopback index."""

import base64
import hashlib
import io
import json
import re
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from envbuild.lockfile import lock_file, merge
from tests.conftest import Project, installs_of
from tests.packages.conftest import Server
from tests.packages.wheels import Index, wheel

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.mirror,
    pytest.mark.slow,
    pytest.mark.usefixtures("compiled_pip"),
]
READY = ("from image:compiled-pip",)
"""Debian with Python: the image that the store of all these tests has. Nothing of it is ever made again, as it would
be with `--no-cache` and `update` where the recipe says how."""
NO_PIP = "from image:python"
"""The same without a pip but those in the wheels of Python itself."""


@pytest.fixture
def index(server) -> Index:
    return Index(server)


@pytest.fixture
def build(debian, index):
    """Builds on Debian with Python, with the loopback index as the user's."""

    def run(*lines: str, options: tuple[str, ...] = (), base: str = READY[0], **variables: str):
        settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", **variables}
        return debian.build(*((base, *lines) if lines else ()), options=options, **settings)

    return run


# All tests share a store. What one of them takes out of the package cache has a `mark` of its own, as the step that
# installs it would come from the cache of another test else, and nothing would be fetched.


def locked(project) -> dict[str, dict]:
    installs = installs_of(project.folder / "web.env.lock")
    (packages,) = [install["packages"] for install in installs if install["install"] == "pip"]
    return {package["name"]: package for package in packages}


@pytest.fixture(scope="module")
def environment(tmp_path_factory, debian_store):
    """A project with an environment that a pip of Python's own wheels has resolved, which was moved after."""
    server = Server()
    index = Index(server)
    index.add("alpha", "1.0", ("beta>=2; extra == 'more'", "gamma; python_version < '3'"))
    index.add("beta", "2.0")
    index.add("gamma", "1.0")
    project = Project(tmp_path_factory.mktemp("environment"), debian_store)
    shutil.copy(HERE / "inside" / "show_bytecode.py", project.folder / "show.py")
    project.done = project.build(
        NO_PIP,
        'pip(into=/opt/venv) "alpha[more]>=1"',
        "run /opt/venv/bin/alpha; /opt/venv/bin/beta",
        "run(mount=show.py:/show.py) /opt/venv/bin/python3 /show.py",
        "run cp -a /opt/venv /srv/moved && rm -r /opt/venv/bin && ln -s /srv/moved/bin/alpha /usr/bin/moved",
        "run moved || true; /srv/moved/bin/alpha || true",
        PIP_INDEX_URL=index.url,
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
    )
    server.close()
    assert project.done.code == 0, project.done.out
    project.printed = [
        "".join(event["data"] for event in project.done.of("step-output") if event["step"] == step)
        for step in (3, 4, 6)
    ]
    return project


def test_requirements_with_extras_and_markers_become_a_virtual_environment(environment):
    assert environment.printed[0] == "alpha 1.0\nbeta 2.0\n"
    packages = locked(environment)
    assert {name: package["version"] for name, package in packages.items()} == {"alpha": "1.0", "beta": "2.0"}
    assert packages["alpha"]["from"] == "index/alpha-1.0-py3-none-any.whl"
    assert "127.0.0.1" not in (environment.folder / "web.env.lock").read_text()
    assert "127.0.0.1" not in environment.cat("/opt/venv/pyvenv.cfg")


def test_bytecode_is_valid_by_hash_and_is_used(environment):
    assert "flags 3" in environment.printed[1], "checked by hash (PEP 552)"
    assert "hash True" in environment.printed[1]


def test_scripts_find_their_environment_wherever_it_is(environment):
    assert environment.printed[2] == "alpha 1.0\n" * 2


def test_requirement_files_constraints_and_files_that_these_name(debian, build, index):
    for version in ("1.0", "1.5", "2.0"):
        index.add("alpha", version)
        index.add("beta", version)
    debian.write("req/all.txt", "alpha", "-r more.txt")
    debian.write("req/more.txt", "beta")
    debian.write("limits.txt", "alpha<2")
    done = build("pip(into=/opt/venv) -r req/all.txt -c limits.txt")
    assert done.code == 0, done.out
    assert {name: package["version"] for name, package in locked(debian).items()} == {"alpha": "1.5", "beta": "2.0"}
    # What a file says is part of what is asked.
    debian.write("req/more.txt", "beta<2")
    done = build(options=("--locked",))
    assert done.code == 1
    assert "it asks for more than the lock has" in done.out + done.err


def test_wheels_of_the_image_through_find_links(debian, build, index):
    (debian.folder / "wheels").mkdir()
    (debian.folder / "wheels/own-3.0-py3-none-any.whl").write_bytes(wheel("own", "3.0"))
    copy = "copy wheels/ -> /wheels/"
    debian.write("web.env", *READY, copy, "pip(into=/opt/venv, find-links=/wheels) own", "run /opt/venv/bin/own")
    done = build()
    assert done.code == 0, done.out
    assert "own 3.0" in done.printed
    assert "tree/wheels/own-3.0-py3-none-any.whl" in (debian.folder / "web.env.lock").read_text()


def test_the_environment_is_filled_whatever_the_image_has_beside_its_pip(debian, build, index):
    index.add("alpha", "1.0", ("beta",))
    index.add("beta", "1.0")
    # As Debian's python3-pip does it, pip lies where the image's other distributions do.
    place = "/usr/lib/python3/dist-packages"
    done = build(
        f"file {place}/alpha-1.0.dist-info/METADATA",
        "    Metadata-Version: 2.1",
        "    Name: alpha",
        "    Version: 1.0",
        f"file {place}/alpha-1.0.dist-info/INSTALLER",
        "    debian",
        "pip(into=/opt/v2) alpha",
        "run /opt/v2/bin/alpha; /opt/v2/bin/beta",
    )
    assert done.code == 0, done.out
    assert "alpha 1.0\nbeta 1.0\n" in done.printed
    assert list(locked(debian)) == ["alpha", "beta"]


def test_a_later_statement_moves_what_an_earlier_one_installed(debian, build, index):
    index.add("alpha", "1.0", files={"old_part.py": "x = 1\n"})
    index.add("alpha", "2.0", files={"new_part.py": "x = 2\n"})
    done = build(
        "pip(into=/v) alpha==1.0", "pip(into=/v) alpha==2.0", "run /v/bin/alpha; ls /v/lib/python3*/site-packages"
    )
    assert done.code == 0, done.out
    assert "alpha 2.0" in done.printed
    assert "new_part.py" in done.printed
    assert "old_part.py" not in done.printed
    assert "alpha-1.0.dist-info" not in done.printed


def test_a_source_distribution_is_built_in_the_sandbox_with_what_its_build_needs(debian, build, index, server):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in sorted((HERE / "sourced-1.0").iterdir()):
            if file.is_file():
                archive.add(file, f"sourced-1.0/{file.name}")
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    server.files["/files/sourced-1.0.tar.gz"] = packed.getvalue()
    link = f'<a href="/files/sourced-1.0.tar.gz#sha256={digest}">sourced-1.0.tar.gz</a>'
    server.files["/simple/sourced/"] = link.encode()
    index.add("helper_of_builds", "7.0")
    server.files["/simple/helper-of-builds/"] = server.files["/simple/helper_of_builds/"]
    done = build("pip(into=/v) sourced", "run /v/bin/python3 -c 'import sourced; print(sourced.BUILT_WITH)'")
    assert done.code == 0, done.out
    assert "7.0" in done.printed
    assert locked(debian)["helper-of-builds"]["from"].startswith("build/index/")
    packages = json.loads(debian.command("packages", "web", "--kind", "python", "--format", "json").out)
    assert [package["name"] for package in packages if package["path"].startswith("/v/")] == ["sourced"]


def test_a_lock_of_uv_says_what_is_installed_and_its_edit_moves_the_pins(debian, build, index, server):
    registry = 'source = { registry = "https://index.invalid/simple" }\n'
    entries = {}
    for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0")):
        path = index.add(name, version)
        digest = hashlib.sha256(server.files[path]).hexdigest()
        entries[name, version] = (
            f'[[package]]\nname = "{name}"\nversion = "{version}"\n{registry}'
            f'wheels = [{{ url = "https://index.invalid{path}", hash = "sha256:{digest}" }}]\n'
        )
    head = 'version = 1\nrequires-python = ">=3.8"\n'
    project = (
        '[[package]]\nname = "shop"\nversion = "1"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "alpha" }]\n[package.dev-dependencies]\ndev = [{ name = "beta" }]\n'
    )
    debian.write("uv.lock", head + entries["alpha", "1.0"] + entries["beta", "1.0"] + project)
    done = build("pip(into=/opt/venv, without=dev) -r uv.lock", "run /opt/venv/bin/alpha")
    assert done.code == 0, done.out
    assert "alpha 1.0\n" in done.printed, "and not the newest that the index has"
    assert list(locked(debian)) == ["alpha"]
    assert locked(debian)["alpha"]["from"] == "index/alpha-1.0-py3-none-any.whl"
    assert "index.invalid" not in (debian.folder / "web.env.lock").read_text()
    debian.write("uv.lock", head + entries["alpha", "2.0"] + entries["beta", "1.0"] + project)
    refused = build(options=("--locked",))
    assert refused.code == 1
    assert "it asks for more than the lock has" in refused.out + refused.err
    assert build().code == 0
    assert {name: package["version"] for name, package in locked(debian).items()} == {"alpha": "2.0"}
    wrong = re.sub(r"sha256:.{8}", "sha256:00000000", entries["alpha", "1.0"])
    debian.write("uv.lock", head + wrong + project)
    refused = build()
    assert refused.code != 0
    assert "it has alpha-1.0-py3-none-any.whl with another hash" in refused.out + refused.err
    debian.write("uv.lock", head + project)
    refused = build()
    assert refused.code != 0
    assert "uv.lock: it has 0 packages that are alpha" in refused.out + refused.err


def test_two_lock_files_keep_apart_where_their_files_come_from_and_who_renews_them(
    debian, build, index, server, tmp_path
):
    for name in ("alpha", "beta"):  # each at an address that only its own lock file names
        path = index.add(name, "1.0", files={"mark.py": "of = 'two lock files'\n"})
        digest = hashlib.sha256(server.files[path]).hexdigest()
        address = f"{server.address}/direct{path}"
        server.files[f"/direct{path}"] = server.files[path]
        index.remove(name, "1.0")
        debian.write(
            f"{name}/uv.lock",
            'version = 1\nrequires-python = ">=3.8"\n[[package]]\nname = "shop"\nversion = "1"\n'
            f'source = {{ virtual = "." }}\ndependencies = [{{ name = "{name}" }}]\n'
            f'[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ url = "{address}" }}\n'
            f'wheels = [{{ url = "{address}", hash = "sha256:{digest}" }}]\n',
        )
    done = build("pip(into=/opt/a) -r alpha/uv.lock", "pip(into=/opt/b) -r beta/uv.lock")
    assert done.code == 0, done.out
    filled = debian.command("vendor", "web.env", "-o", "vendored", ENVBUILD_STORE=str(tmp_path / "none"))
    assert "2 files" in filled.out, filled.out + filled.err
    assert "2 fetched" in filled.out, filled.out + filled.err
    (beta,) = installs_of(debian.folder / "web.env.lock")[1]["packages"]
    (debian.store / "packages" / beta["hash"].replace(":", "-")).unlink()
    del server.files["/direct/files/beta-1.0-py3-none-any.whl"]
    failed = build(options=("--no-cache",))
    assert failed.code == 1
    assert "another version will do, renew beta/uv.lock with the tool that writes it: uv lock" in failed.out, failed.out
    assert "envbuild update" not in failed.out


PROJECT = """[build-system]
requires = ["helper_of_builds"]
build-backend = "backend"
backend-path = ["."]
[project]
name = "sourced"
version = "1.0"
dependencies = ["alpha"]
[project.optional-dependencies]
more = ["beta"]
"""


@pytest.mark.nightly  # setuptools, three times; the next one builds a project daily
def test_a_project_of_the_folder_is_built_and_an_edit_builds_it_alone(debian, build, index, server):
    for name in ("alpha", "beta"):
        index.add(name, "1.0")
    index.add("helper_of_builds", "7.0")
    server.files["/simple/helper-of-builds/"] = server.files["/simple/helper_of_builds/"]
    for name in ("backend.py", "wheels_of_own.py"):
        debian.write(f"app/{name}", *(HERE / "sourced-1.0" / name).read_text().splitlines())
    debian.write("app/pyproject.toml", *PROJECT.splitlines())
    done = build(
        'pip(into=/v) "./app[more]"',
        "run /v/bin/alpha; /v/bin/beta; /v/bin/python3 -c 'import sourced; print(sourced.BUILT_WITH)'",
    )
    assert done.code == 0, done.out
    assert "alpha 1.0\nbeta 1.0\n7.0\n" in done.printed
    asked = len(server.asked)
    debian.write("app/README", "nothing of it is installed")
    again = build(options=("--locked",))
    assert (again.code, again.image) == (0, done.image), "the wheel has the same content"
    assert again.ran == ["pip(into=/v) ./app[more]: the project"], "and nothing else runs"
    assert len(server.asked) == asked, "nothing is resolved or fetched"
    debian.write("app/pyproject.toml", *PROJECT.replace('"alpha"', '"alpha<1"').splitlines())
    refused = build(options=("--locked",))
    assert refused.code == 1
    assert "it asks for more than the lock has" in refused.out + refused.err
    (debian.folder / "app/pyproject.toml").unlink()
    refused = build()
    assert "app: not a Python project" in refused.out + refused.err


def test_a_project_that_needs_nothing_is_built_and_one_that_fails_is_marked(debian, build, index):
    folder = HERE / "sourced-1.0"
    own = "".join(line for line in (folder / "backend.py").read_text().splitlines(True) if line[:6] != "import")
    debian.write("backend.py", *own.replace("helper_of_builds.VERSION", "'nothing'").splitlines())
    shutil.copy(folder / "wheels_of_own.py", debian.folder)
    plain = PROJECT.replace('"helper_of_builds"', "").replace('"alpha"', "").replace('"beta"', "")
    debian.write("pyproject.toml", *plain.splitlines())
    done = build("pip(into=/v) .", "run /v/bin/python3 -c 'import sourced; print(sourced.BUILT_WITH)'")
    assert (done.code, "nothing\n" in done.printed) == (0, True), done.out
    debian.write("wheels_of_own.py", "def make(folder, version): raise SystemExit('not today')")
    failed = debian.command("build", "web.env", PIP_INDEX_URL=index.url, PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="")
    assert failed.code == 1
    assert "--> web.env:2, in [1]" in failed.err
    assert "2 | pip(into=/v) .\n  |              ^\n" in failed.err, failed.err


def test_code_that_a_resolution_runs_reaches_the_index_and_nothing_of_this_machine(build, index, server):
    backend = (
        "import socket, urllib.request\n"
        "def get_requires_for_build_wheel(config=None):\n"
        "    reached = []\n"
        "    for name, family, address in {places!r}:\n"
        "        try: socket.socket(family).connect(address); reached.append(name)\n"
        "        except OSError: pass\n"
        "    for address in {addresses!r}:\n"
        "        try: reached.append(urllib.request.urlopen(address, timeout=5).status)\n"
        "        except OSError as error: reached.append(getattr(error, 'code', 0))\n"
        "    raise SystemExit(f'reached {{reached}}')\n"
    )
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as other:
        abstract.bind("\0envbuild-test-resolver")
        abstract.listen()
        port = other.getsockname()[1]
        places = [
            ("abstract", int(socket.AF_UNIX), "\0envbuild-test-resolver"),
            ("loopback", int(socket.AF_INET), ("127.0.0.1", port)),
        ]
        addresses = [f"http://127.0.0.1:{port}/", "http://169.254.169.254/", "http://example.org/", f"{index.url}/spy/"]
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in (
                ("pyproject.toml", project),
                ("backend.py", backend.format(places=places, addresses=addresses)),
                ("PKG-INFO", "Metadata-Version: 2.1\nName: spy\nVersion: 1.0\n"),
            ):
                info = tarfile.TarInfo(f"spy-1.0/{path}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        server.files["/files/spy-1.0.tar.gz"] = packed.getvalue()
        server.files["/simple/spy/"] = b'<a href="/files/spy-1.0.tar.gz">spy-1.0.tar.gz</a>'
        done = build("pip(into=/v) spy")
    assert done.code == 1
    assert "reached [403, 403, 403, 200]" in done.out, done.out


def test_what_can_not_be_had_is_told_in_pips_words_at_its_line(debian, build, index):
    index.add("alpha", "1.0")
    done = build("pip(into=/opt/venv) alpha==9")
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert "No matching distribution found for alpha==9" in failed["message"]
    assert failed["line"] == 2
    debian.write("web.env", READY[0], "pip(into=/v) no-such-thing")
    failed = debian.command("build", "web.env", PIP_INDEX_URL=index.url, PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="")
    assert failed.err.count("No matching distribution found for no-such-thing") == 1, failed.err
    assert "^^^^^^^^^^^^^" in failed.err


def test_a_requirement_file_that_names_a_folder_is_refused(debian, build):
    debian.write("req.txt", "./local")
    done = build("pip(into=/opt/venv) -r req.txt")
    assert done.code == 2
    assert "./local" in done.out + done.err


def test_the_locked_file_is_fetched_again_from_wherever_it_is_and_no_other_in_its_place(debian, build, index, server):
    path = index.add("alpha", "1.0", files={"mark.py": "of = 'the locked file'\n"})
    assert build("pip(into=/opt/venv) alpha").code == 0
    lock = (debian.folder / "web.env.lock").read_text()
    digest = locked(debian)["alpha"]["hash"]
    cached = debian.store / "packages" / digest.replace(":", "-")
    content = cached.read_bytes()
    # It is damaged.
    cached.unlink()
    cached.write_bytes(b"damaged")
    assert build(options=("--no-cache",)).code == 0
    assert cached.read_bytes() == content
    # Another machine finds it in its own index, which has a newer one, too.
    index.add("alpha", "2.0")
    cached.unlink()
    done = build(options=("--no-cache", "--locked"))
    assert done.code == 0, done.out
    assert locked(debian)["alpha"]["version"] == "1.0"
    # The index has something else under its name.
    cached.unlink()
    server.files[path] = wheel("alpha", "1.0", files={"evil.py": "pass\n"})
    done = build(options=("--no-cache",))
    assert done.code == 1
    (failed,) = done.of("step-failed")
    for said in ("alpha 1.0", digest, "got      sha256:", "alpha-1.0-py3-none-any.whl"):
        assert said in failed["message"]
    assert not cached.exists()
    assert (debian.folder / "web.env.lock").read_text() == lock


@pytest.mark.nightly  # nine resolutions; test_npm.py and test_held_packages.py have it for npm and apt
def test_update_moves_what_is_named_and_what_that_forces(debian, build, index):
    index.add("alpha", "1.0", ("beta>=1",))
    index.add("beta", "1.0")
    index.add("gamma", "1.0")
    assert build("pip(into=/opt/venv) alpha gamma").code == 0
    index.add("alpha", "2.0", ("beta>=2",))
    index.add("beta", "2.0")
    index.add("gamma", "2.0")
    assert build().code == 0
    assert {package["version"] for package in locked(debian).values()} == {"1.0"}, "a lock is obeyed"
    # A statement that asks for more keeps what is locked.
    index.add("delta", "1.0")
    assert build("pip(into=/opt/venv) alpha gamma delta").code == 0
    assert {package["version"] for package in locked(debian).values()} == {"1.0"}
    settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    before = (debian.folder / "web.env.lock").read_text()
    shown = debian.command("update", "alpha", "--dry-run", **settings)
    assert [line.split()[3:] for line in shown.out.splitlines()[1:]] == [
        ["alpha", "1.0", "2.0", "named"],
        ["beta", "1.0", "2.0", "alpha", "2.0", "needs", "it", "(>=2)"],
    ]
    assert (debian.folder / "web.env.lock").read_text() == before
    done = debian.command("update", "alpha", **settings)
    assert done.code == 0, done.err
    versions = {name: package["version"] for name, package in locked(debian).items()}
    assert versions == {"alpha": "2.0", "beta": "2.0", "gamma": "1.0", "delta": "1.0"}
    done = debian.command("update", "web.env", **settings)
    assert done.code == 0, done.err
    assert locked(debian)["gamma"]["version"] == "2.0"
    refused = debian.command("update", "web.env", "alhpa", **settings)
    assert refused.code == 2
    assert "did you mean 'alpha'?" in refused.err


@pytest.mark.nightly  # five builds
def test_what_two_branches_pinned_and_does_not_go_together_is_told_with_its_lines(debian, build, index):
    index.add("alpha", "1.0")
    index.add("gamma", "1.0", ("alpha<2",))
    statements = ["pip(into=/opt/venv) alpha", "pip(into=/opt/venv) gamma"]
    lock = debian.folder / "web.env.lock"

    def built(*lines: str, update: bool = False) -> lock_file.Lock:
        if update:
            settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
            done = debian.command("update", "web.env", "alpha", **settings)
        else:
            done = build(*lines)
        assert done.code == 0, done.out + done.err
        return lock_file.parse(lock.read_text(), "web.env.lock")

    base = built(statements[0])
    text = lock.read_text()
    theirs = built(*statements)
    build_of_ours = (debian.folder / "web.env").read_text()
    lock.write_text(text)
    debian.write("web.env", *READY, statements[0])
    index.add("alpha", "2.0")
    ours = built(update=True)
    lock.write_text(merge.dump(merge.merge(base, ours, theirs)))
    (debian.folder / "web.env").write_text(build_of_ours)
    done = build()
    assert done.code == 1
    (message,) = [event["message"] for event in done.of("step-failed")]
    lines = lock.read_text().splitlines()
    for name, version in (("alpha", "2.0"), ("gamma", "1.0")):
        number = next(n for n, line in enumerate(lines, 1) if f'name: "{name}"' in line)
        assert f"web.env.lock:{number}: {name} {version}\n" in message
    assert "gamma 1.0 has requirement alpha<2, but you have alpha 2.0." in done.out
    assert "hint: envbuild update web.env alpha gamma" in message
    settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    mended = debian.command("update", "web.env", "alpha", "gamma", **settings)
    assert mended.code == 0, mended.err
    assert build(options=("--locked",)).code == 0


def test_a_version_that_the_index_dropped_stays_if_its_file_is_to_be_had(debian, build, index):
    index.add("alpha", "1.0")
    index.add("gamma", "1.0")
    assert build("pip(into=/opt/venv) alpha gamma").code == 0
    before = locked(debian)
    index.add("alpha", "2.0")
    index.add("gamma", "2.0")
    index.add("beta", "1.0")
    index.remove("alpha", "1.0")
    done = build("pip(into=/opt/venv) alpha beta gamma")
    assert done.code == 0, done.out
    assert {name: package["version"] for name, package in locked(debian).items()} == dict.fromkeys(
        locked(debian), "1.0"
    )
    assert locked(debian)["alpha"] == before["alpha"]


def test_the_settings_of_the_user_are_honoured_and_not_kept(debian, index):
    index.add("alpha", "1.0")
    (debian.folder / ".config/pip").mkdir(parents=True)
    (debian.folder / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = {index.url}\n")
    variables = {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    done = debian.build(*READY, "pip(into=/opt/venv) alpha", **variables)
    assert done.code == 0, done.out
    assert locked(debian)["alpha"]["version"] == "1.0"
    assert "pip.conf" not in debian.ls("/etc")


def test_a_tree_without_pip_is_given_one_that_does_not_stay(debian):
    # As without python3-venv, which brings both.
    remove = "run rm -r /usr/share/python-wheels /usr/lib/python3*/ensurepip"
    done = debian.build(NO_PIP, remove, "pip(into=/opt/venv) six")
    assert done.code == 0, done.out
    assert "pip" not in debian.ls("/opt/venv/bin")
    assert locked(debian).keys() == {"six"}


def test_an_index_that_wants_a_password_is_given_it_and_nobody_else(debian, index, server, build):
    index.add("alpha", "1.0", files={"mark.py": "of = 'password'\n"})
    server.authorization = "Basic " + base64.b64encode(b"me:hush-hush").decode()
    url = index.url.replace("://", "://me:hush-hush@")
    done = build("pip(into=/opt/venv) alpha", PIP_INDEX_URL=url)
    assert done.code == 0, done.out
    cached = debian.store / "packages" / locked(debian)["alpha"]["hash"].replace(":", "-")
    assert "hush" not in done.out + done.err + (debian.folder / "web.env.lock").read_text()
    cached.unlink()
    done = build(options=("--no-cache", "--locked"))
    assert done.code == 1
    assert "can't be fetched" in done.out


def test_hashes_of_a_requirement_file_are_held_to(debian, build, index, server):
    path = index.add("alpha", "1.0")
    digest = hashlib.sha256(server.files[path]).hexdigest()
    debian.write("req.txt", f"alpha==1.0 --hash=sha256:{digest}")
    assert build("pip(into=/opt/venv) -r req.txt").code == 0
    debian.write("req.txt", f"alpha==1.0 --hash=sha256:{'0' * 64}")
    done = build()
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert "HASHES" in failed["message"]
    assert digest in failed["message"]


def test_what_pip_sees_of_the_tree_is_part_of_the_question(debian, build, index):
    index.add("alpha", "1.0")
    index.add("alpha", "2.0b1")
    statement = "pip(into=/opt/venv) alpha"

    def version() -> str:
        return installs_of(debian.folder / "web.env.lock")[-1]["packages"][0]["version"]

    assert build("run echo one > /one", statement).code == 0
    assert version() == "1.0"
    # Another tree, in which pip finds the same, and a variable that decides nothing.
    same = ("run echo two > /one", "env PIP_NO_CACHE_DIR=1", statement)
    assert build(*same, PIP_INDEX_URL="http://127.0.0.1:9/").code == 0
    debian.write("web.env", *READY, "env PIP_NO_DEPS=1", statement)
    assert build(options=("--locked",)).code == 1
    settings = ("file /etc/xdg/pip/pip.conf", "    [global]", "    pre = true")
    debian.write("web.env", *READY, *settings, statement)
    assert build(options=("--locked",)).code == 1
    assert debian.command("update", "web.env", PIP_INDEX_URL=index.url).code == 0
    assert version() == "2.0b1"

"""`npm`: packages of the registry, unpacked from the cache; scripts only where the statement asks for them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.build.package_question import question_of
from envbuild.lockfile import lock_file, merge
from envbuild.lockfile.lock import Earlier
from envbuild.plan.step import InstallPackages
from tests.conftest import installs_of
from tests.packages.conftest import NODE_OF_DEBIAN
from tests.packages.npm_registry import Registry

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow, pytest.mark.usefixtures("npm")]
if shutil.which("npm") is None:
    pytestmark.append(pytest.mark.skip(reason="npm is not installed, which knows its registry"))
LOCKS = Path(__file__).parent / "node_locks"
NODE = ("from image:node",)
"""An image that has no npm, so that each resolution brings one."""
NPM = ("from image:npm",)
"""The same with npm."""
NOBODY = {"npm_config_registry": "http://127.0.0.1:9"}
"""Settings with which no registry answers."""
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def locked(project) -> dict[str, dict]:
    install = installs_of(project.folder / "web.env.lock")[-1]
    return {package["name"]: package for package in install["packages"]}


def test_a_package_with_a_range_is_locked_and_installed_offline(debian):
    script = "run cd /srv/app && node -e 'console.log(require(\"is-odd\")(3))' && cat package.json"
    done = debian.build(*NODE, "npm(into=/srv/app) is-odd@^3.0.0", script)
    assert done.code == 0, done.out
    assert "true\n" in done.printed
    assert '"is-odd": "^3.0.0"' in done.printed
    packages = locked(debian)
    assert packages["is-odd"]["version"].startswith("3.")
    assert packages["is-number"]["hash"].startswith("sha512:")
    assert packages["is-odd"]["from"].startswith("is-odd/-/is-odd-3.")
    again = debian.build(options=("--rerun", "2", "--locked"), **NO_NETWORK)
    assert again.code == 0, again.out
    assert again.image == done.image
    listed = json.loads(debian.command("packages", "web", "--kind", "node", "--format", "json").out)
    assert {package["name"] for package in listed} == {"is-odd", "is-number"}
    assert all(package["hash"].startswith("sha512:") and package["licences"] == ["MIT"] for package in listed)


@pytest.fixture
def registry(server) -> Registry:
    return Registry(server)


@pytest.fixture
def build(debian, server):
    """Builds on Debian with Node and npm, with the loopback registry as the user's."""

    def run(*lines: str, options: tuple[str, ...] = (), **variables: str):
        settings = {"npm_config_registry": server.address, **variables}
        return debian.build(*((*NPM, *lines) if lines else ()), options=options, **settings)

    return run


def test_a_project_with_its_lock_and_two_versions_of_one_package(debian, build, registry):
    for version in ("6.0.0", "7.0.0"):
        registry.add("own-pad", version)
    registry.add("own-deep", "3.0.1", {"own-pad": "^6.0.0"}, {"index.js": "module.exports = require('own-pad')\n"})
    package = {"name": "app", "version": "1.0.0", "dependencies": {"own-deep": "3.0.1", "own-pad": "7.0.0"}}
    debian.write("app/package.json", json.dumps(package))
    done = build(
        "npm(into=/srv/app) -r app", 'run cd /srv/app && node -p \'[require("own-deep"), require("own-pad")]\''
    )
    assert done.code == 0, done.out
    assert "[ '6.0.0', '7.0.0' ]" in done.printed
    assert locked(debian)["own-pad"]["version"] == "7.0.0"
    assert locked(debian)["own-deep/node_modules/own-pad"]["version"] == "6.0.0"
    assert json.loads(debian.cat("/srv/app/package.json")) == package


def test_scripts_run_only_where_the_statement_asks_for_them(debian, build, registry, server):
    replace = "require('fs').writeFileSync('tool.js', '#!/bin/sh\\necho replaced\\n')\n"
    files = {"tool.js": "#!/usr/bin/env node\nconsole.log('as packed')\n", "install.js": replace}
    scripts = {"postinstall": "node install.js"}
    registry.add("own-tool", "1.0.0", None, files, bin="tool.js", scripts=scripts)
    show = "run /srv/app/node_modules/.bin/own-tool"
    done = build("npm(into=/srv/app) own-tool", show)
    assert (done.code, "as packed" in done.printed) == (0, True), done.out
    # npm runs them, also where the tree has none.
    registry.add_npm(NODE_OF_DEBIAN)
    done = debian.build(*NODE, "npm(into=/srv/app, scripts) own-tool", show, npm_config_registry=server.address)
    assert (done.code, "replaced" in done.printed) == (0, True), done.out
    assert locked(debian)["npm"]["from"].startswith("build/npm/-/npm-")
    assert "npm" not in debian.ls("/srv/app/node_modules")


def test_what_can_not_be_had_is_told_in_npms_words_at_its_line(build, registry):
    registry.add("own-pad", "1.0.0")
    done = build("npm(into=/srv/app) own-pad@99")
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert "No matching version found for own-pad@99" in failed["message"]
    assert failed["line"] == 2


def test_the_locks_of_pnpm_and_yarn_are_installed_as_they_are(debian):
    for form in ("pnpm-9", "yarn-4"):
        shutil.copytree(LOCKS / form, debian.folder / form)
    shown = 'node -p \'[require("is-odd")(3), require("is-number/package.json").version].join()\''
    pnpm, yarn = "npm(into=/srv/pnpm, manager=pnpm) -r pnpm-9", "npm(into=/srv/yarn, manager=yarn) -r yarn-4"
    recipe = (*NODE, pnpm, f"run cd /srv/pnpm && {shown}", yarn, f"run cd /srv/yarn && {shown}")
    done = debian.build(*recipe)
    assert done.code == 0, done.out
    assert done.printed.splitlines().count("true,7.0.0") == 2
    assert debian.cat("/srv/pnpm/pnpm-lock.yaml") == (LOCKS / "pnpm-9/pnpm-lock.yaml").read_text()
    by_pnpm, by_yarn = (install["packages"] for install in installs_of(debian.folder / "web.env.lock")[-2:])
    assert [package["name"] for package in by_pnpm] == [
        ".pnpm/is-number@6.0.0/node_modules/is-number",
        ".pnpm/is-number@7.0.0/node_modules/is-number",
        ".pnpm/is-odd@3.0.1/node_modules/is-odd",
    ]
    assert [package["name"] for package in by_yarn] == ["is-number", "is-odd", "is-odd/node_modules/is-number"]
    # The hash that pnpm locked is that of the archive, which yarn's lock is held against.
    assert {package["hash"] for package in by_yarn} == {package["hash"] for package in by_pnpm}
    assert debian.build(options=("--rerun", "2", "--rerun", "4", "--locked"), **NO_NETWORK).image == done.image
    # Our own lock can't say anything else than the project's.
    lock = debian.folder / "web.env.lock"
    right = lock.read_text()
    lock.write_text(right.replace(by_pnpm[2]["hash"], f"sha512:{'0' * 128}"))
    refused = debian.build(options=("--locked",), **NO_NETWORK)
    assert (refused.code, "than the lock has" in refused.out + refused.err) == (1, True)
    lock.write_text(right)
    project = debian.folder / "pnpm-9/package.json"
    project.write_text(project.read_text().replace("7.0.0", "7.0.1"))
    done = debian.build(**NO_NETWORK)
    (failed,) = done.of("step-failed")
    assert "pnpm-9/pnpm-lock.yaml:12: package.json wants is-number@7.0.1, and the lock has it as '7.0.0'" in str(failed)
    assert (failed["line"], "pnpm install --lockfile-only" in failed["message"]) == (2, True)
    # yarn's own hash is of what it makes of the archive.
    (debian.folder / "yarn-4/yarn.lock").write_text(
        (LOCKS / "yarn-4/yarn.lock").read_text().replace("10c0/89ee2e353c5a", "10c0/000000000000")
    )
    done = debian.build(*NODE, yarn)
    assert done.code == 1
    assert "is-odd 3.0.1: the registry's archive is not the one that yarn.lock names" in done.out


@pytest.mark.nightly  # a real program of the registry, and its install script
def test_scripts_of_packages_in_pnpms_layout(debian):
    manifest = {"name": "app", "version": "1.0.0", "dependencies": {"esbuild": "0.19.12"}}
    debian.write("app/package.json", json.dumps(manifest))
    tool = debian.folder / "tool"
    tool.mkdir()
    subprocess.run(["npm", "install", "--prefix", tool, "pnpm@9.15.9"], check=True, capture_output=True)
    registry = subprocess.run(["npm", "config", "get", "registry"], check=True, capture_output=True, text=True).stdout
    write = [tool / "node_modules/.bin/pnpm", "install", "--lockfile-only", f"--registry={registry.strip()}"]
    subprocess.run(write, cwd=debian.folder / "app", check=True, capture_output=True)
    show = (
        "run head -c 4 /srv/app/node_modules/esbuild/bin/esbuild | od -c; /srv/app/node_modules/.bin/esbuild --version"
    )
    done = debian.build(*NODE, "npm(into=/srv/app, manager=pnpm, scripts) -r app", show)
    assert done.code == 0, done.out
    assert "177   E   L   F" in done.printed
    assert "0.19.12" in done.printed


def names(project) -> set[str]:
    return set(locked(project))


PROJECT = {"name": "app", "version": "1.0.0", "dependencies": {"own-pad": "1.0.0"}}
DEVELOPED = {**PROJECT, "devDependencies": {"own-even": "1.0.0"}}


@pytest.fixture
def developed(debian, registry) -> None:
    """A project with a package that only its developers need."""
    for name in ("own-pad", "own-even"):
        registry.add(name, "1.0.0")
    debian.write("app/package.json", json.dumps(DEVELOPED))


@pytest.mark.nightly  # five builds; that of settings, in the next, goes the same way
def test_the_environment_of_the_stage_is_part_of_the_question(debian, build, developed):
    statement = "npm(into=/srv/app) -r app"
    done = build(statement)
    assert done.code == 0, done.out
    assert names(debian) == {"own-pad", "own-even"}
    # What decides nothing is not asked about.
    assert build("env COLOUR=red", "run true", statement, **NOBODY).code == 0
    debian.write("web.env", *NPM, "env NODE_ENV=production", statement)
    refused = build(options=("--locked",))
    assert (refused.code, "than the lock has" in refused.out + refused.err) == (1, True)
    done = build()
    assert done.code == 0, done.out
    assert names(debian) == {"own-pad"}
    assert build("env NODE_ENV=production", "env npm_config_include=dev", statement).code == 0
    assert "own-even" in names(debian)


def test_the_settings_of_a_project_are_honoured_and_its_tokens_are_kept_nowhere(debian, build, developed):
    token = "npm_verySecretToken0123456789"
    settings = [
        "; of the project",
        "omit[]=dev",
        f"//registry.test/:_authToken={token}",
        f"_password = {token}",
        f"@own:registry=https://ada:{token}@registry.test/?token={token}",
    ]
    begun = debian.write("app/.npmrc", *settings).stat().st_ctime_ns
    done = build("npm(into=/srv/app) -r app")
    assert done.code == 0, done.out
    assert names(debian) == {"own-pad"}
    assert ".npmrc" not in debian.ls("/srv/app")
    written = [path for path in debian.store.rglob("*") if path.lstat().st_ctime_ns >= begun]
    assert debian.store / "store.db" in written
    for path in [*debian.folder.rglob("*.lock"), *written]:
        if path.is_file() and not path.is_symlink():
            assert token.encode() not in path.read_bytes(), path
    # Another token is no other question; another setting is one.
    debian.write("app/.npmrc", *(line.replace(token, "other") for line in settings))
    assert build(options=("--locked",), **NOBODY).code == 0
    assert debian.command("verify", "web").code == 0
    debian.write("app/.npmrc", "legacy-peer-deps=true")
    assert build(options=("--locked",)).code == 1


@pytest.mark.nightly  # npm itself four times
def test_a_lock_of_before_answers_as_long_as_the_environment_is_the_same(debian, build, developed):
    statement = "npm(into=/srv/app) -r app"
    assert build(statement).code == 0
    path = debian.folder / "web.env.lock"
    before = as_before(debian, {"app/package.json": (debian.folder / "app/package.json")})
    path.write_text(before)
    done = build(options=("--locked", "--no-cache"), **NOBODY)
    assert done.code == 0, done.out + done.err
    assert path.read_text() == before
    # Neither does what leads to it change the question.
    assert build("run true", statement, **NOBODY).code == 0
    path.write_text(before)
    assert build("env NODE_ENV=production", statement).code == 0
    assert names(debian) == {"own-pad"}


def as_before(project, files) -> str:
    """The lock as it was when questions were no part of it but for the statement's words and files."""
    path = project.folder / "web.env.lock"
    contents = tuple((name, path.read_bytes()) for name, path in files.items())
    action = InstallPackages("npm", (), (("-r", "app"),), (("into", "/srv/app"),), (), "")
    old = question_of(action, contents, "amd64").without_environment
    lock = lock_file.parse(path.read_text(), str(path))
    (stage,) = lock.stages
    npm = project.show()["steps"][-1]
    key, parent = (digest.removeprefix("sha256:") for digest in (npm["key"], project.show("npm")["tree"]))
    earlier = Earlier(old, "", key, parent, stage.epoch)
    npm_before = stage.installs[-1].replace(wants=(), asks="", earlier=earlier)
    stage = stage.replace(installs=(npm_before,))
    return lock_file.dump(lock.replace(own=lock.own.replace(stages=(stage,))))


@pytest.mark.nightly  # npm itself five times; what stays is asked in test_npm_added.py, too
def test_what_a_directory_has_already_stays_and_an_update_says_why(debian, server, registry):
    registry.add_npm(NODE_OF_DEBIAN)
    registry.add("own-pad", "1.0.0")
    registry.add("own-deep", "1.0.0", {"own-pad": "^1.0.0"})
    settings = {"npm_config_registry": server.address}
    done = debian.build(*NODE, "npm(into=/srv/app) own-deep", name="low.env", **settings)
    assert done.code == 0, done.out
    registry.add("own-pad", "1.1.0")
    registry.add("own-deep", "1.1.0", {"own-pad": "^1.1.0"})
    registry.add("own-box", "1.0.0", {"own-pad": "^1.0.0"})
    done = debian.build("from image:low", "npm(into=/srv/app) own-box", **settings)
    assert done.code == 0, done.out
    assert {name: package["version"] for name, package in locked(debian).items()} == {
        "own-box": "1.0.0",
        "own-deep": "1.0.0",
        "own-pad": "1.0.0",
    }
    done = debian.command("update", "web.env", "own-deep", "--dry-run", **settings)
    assert done.code == 0, done.err
    assert [line.split(None, 3)[3] for line in done.out.splitlines()[1:]] == [
        "own-deep  1.0.0  1.1.0  named",
        "own-pad   1.0.0  1.1.0  own-deep 1.1.0 needs it (^1.1.0)",
    ]


@pytest.mark.nightly  # seven builds
@pytest.mark.parametrize("same", [True, False], ids=["one statement", "two statements"])
def test_what_two_branches_pinned_and_does_not_go_together_is_told_with_its_lines(debian, server, registry, same):
    registry.add_npm(NODE_OF_DEBIAN)
    registry.add("own-pad", "1.0.0")
    registry.add("own-deep", "1.0.0", {"own-pad": ">=1"})
    registry.add("own-box", "1.0.0", {"own-pad": "^1.0.0"})
    settings = {"npm_config_registry": server.address}
    assert debian.build(*NODE, name="low.env").code == 0
    first, both = ["npm(into=/srv/app) own-deep"], ["npm(into=/srv/app) own-deep", "npm(into=/srv/app) own-box"]
    if same:
        both = ["npm(into=/srv/app) own-deep own-box"]
    lock = debian.folder / "web.env.lock"

    def now() -> lock_file.Lock:
        return lock_file.parse(lock.read_text(), "web.env.lock")

    done = debian.build("from image:low", *first, **settings)
    assert done.code == 0, done.out
    base, text = now(), lock.read_text()
    assert debian.build("from image:low", *both, **settings).code == 0
    theirs, recipe = now(), (debian.folder / "web.env").read_text()
    lock.write_text(text)
    debian.write("web.env", "from image:low", *first)
    registry.add("own-pad", "2.0.0")
    done = debian.command("update", "web.env", "own-pad", **settings)
    assert done.code == 0, done.out + done.err
    ours = now()
    lock.write_text(merge.dump(merge.merge(base, ours, theirs)))
    (debian.folder / "web.env").write_text(recipe)
    done = debian.build(**settings)
    assert done.code == 1
    (message,) = [event["message"] for event in done.of("step-failed")]
    lines = lock.read_text().splitlines()
    for name, version in (("own-box", "1.0.0"), ("own-pad", "2.0.0")):
        number = next(n for n, line in enumerate(lines, 1) if f'name: "{name}"' in line)
        assert f"web.env.lock:{number}: {name} {version}\n" in message
    assert "own-box 1.0.0 requires own-pad@^1.0.0, but own-pad 2.0.0 is installed" in done.out
    assert "hint: envbuild update web.env own-box own-pad" in message
    mended = debian.command("update", "web.env", "own-box", "own-pad", **settings)
    assert mended.code == 0, mended.out + mended.err
    assert debian.build(options=("--locked",), **settings).code == 0

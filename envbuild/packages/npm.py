"""npm: which packages a statement means, and how they are installed into a folder from archives alone.

The resolution runs npm with the tree's own Node and takes the lock that npm makes. The installation unpacks archives;
npm itself is there only to run install scripts, and only where the statement asks for them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources

from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.documents import BadDocument, Fields, fields_of, value_of
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.names import BUILD, NodeOrigin, NodePath, NodeVersion
from envbuild.packages.task import FOLDER, OUT, PACKAGES, Task
from envbuild.plan.step import InstallPackages

NEEDS_NPM, NO_NODE = 64, 66
NPM_ARCHIVE = "npm.tgz"
_NODE_ANSWER = "what node in the sandbox says of itself"
_HASH_BYTES = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}
_FILES = f"{FOLDER}/files"
_ORDER = f"{FOLDER}/order.json"
_SCRIPT = f"{FOLDER}/npm_install.js"
_MODULES = "node_modules/"

_FIND = f"""\
set -eu
export npm_config_cache=/tmp/npm-cache npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
command -v node > /dev/null || exit {NO_NODE}
find_npm() {{
    if command -v npm > /dev/null; then npm=npm
    elif [ -e {PACKAGES}/{NPM_ARCHIVE} ]; then
        mkdir -p /tmp/npm
        tar -xzf {PACKAGES}/{NPM_ARCHIVE} -C /tmp/npm --strip-components=1
        npm="node /tmp/npm/bin/npm-cli.js"
    else return 1
    fi
}}
"""
_RESOLVE = f"""\
node -p 'JSON.stringify([process.version, process.arch])' > {OUT}/node.json
find_npm || exit {NEEDS_NPM}
mkdir -p /tmp/project
cd /tmp/project
if [ -e "$INTO/package.json" ]; then cp "$INTO/package.json" .; else echo '{{"private":true}}' > package.json; fi
for file in {_FILES}/*.json; do if [ -e "$file" ]; then cp "$file" .; fi; done
$npm install --package-lock-only --ignore-scripts --loglevel=error -- "$@"
if [ -e npm-shrinkwrap.json ]; then cp npm-shrinkwrap.json {OUT}/package-lock.json
else cp package-lock.json {OUT}/package-lock.json; fi
"""
_INSTALL = f"""\
mkdir -p "$INTO"
node {_SCRIPT} {_ORDER}
if [ "$SCRIPTS" = yes ]; then
    find_npm
    cd "$INTO"
    $npm rebuild --offline --foreground-scripts --loglevel=error
    rm -rf node_modules/.package-lock.json node_modules/.cache
fi
"""

Contents = tuple[tuple[str, bytes], ...]


def resolve_task(
    action: InstallPackages, contents: Contents, pins: Iterable[Package], npm: tuple[Package, str] | None
) -> Task:
    """Asks npm in the tree. `contents` are the project's files, `pins` what stays as it is if it can, `npm` npm itself
    with its path, for trees that have none."""
    files = [(f"{_FILES}/{path.rpartition('/')[2]}", content) for path, content in contents]
    if not any(name.endswith(("package-lock.json", "npm-shrinkwrap.json")) for name, _ in files):
        files.append((f"{_FILES}/package-lock.json", json.dumps(_old_lock(pins)).encode()))
    packages = ((Component(NPM_ARCHIVE), npm[1]),) if npm else ()
    return Task(("/bin/sh", "-c", _FIND + _RESOLVE, "sh", *action.wanted), _environment(action), tuple(files), packages)


def refuse(status: int, output: str) -> None:
    """Raises what a resolution that ended with `status` means; not for NEEDS_NPM."""
    if status == NO_NODE:
        raise NoManager("npm: the tree has no node on its PATH", "install one before it, as in: apt nodejs")
    lines = [line for line in output.splitlines() if line.strip() and "complete log of this run" not in line]
    raise Unresolved("npm", "\n".join(lines[-20:]))


def node_of(text: bytes) -> tuple[str, str]:
    """The version and architecture of a tree's Node. Raises BadDocument."""
    plain = value_of(text, _NODE_ANSWER)
    if not isinstance(plain, list) or len(plain) != 2 or not all(isinstance(one, str) for one in plain):
        raise BadDocument(_NODE_ANSWER, "expected its version and architecture")
    return plain[0], plain[1]


def read_answer(action: InstallPackages, text: bytes, node: bytes) -> tuple[Package, ...]:
    """The packages of the lock that npm made (package-lock.json(5), lockfileVersion 2 and 3), for the Node that
    `node` tells of. Raises Unresolved for what comes from elsewhere than a registry, BadName and BadDocument."""
    _, architecture = node_of(node)
    production = dict(action.environment).get("NODE_ENV") == "production"
    found = []
    for path, one in fields_of(text, "the lock that npm made in the sandbox").fields("packages").items():
        if not path or one.flag("inBundle") or (production and (one.flag("dev") or one.flag("devOptional"))):
            continue
        name = path.removeprefix(_MODULES)
        resolved = one.text("resolved", "")
        if one.flag("link") or not path.startswith(_MODULES) or (resolved and not resolved.startswith("http")):
            raise Unresolved(
                "npm",
                f"{name!r} comes from {resolved or path!r}, and only packages of a registry can be locked",
                "copy it in and install it with a run step, or publish it",
            )
        if not _fits(one.any("os"), "linux") or not _fits(one.any("cpu"), architecture):
            continue
        if one.flag("libc") and not _fits(one.any("libc"), "glibc"):
            continue
        name, version = NodePath(name), NodeVersion(one.text("version"))
        real = NodePath(one.text("name", "") or name.rpartition(_MODULES)[2])
        found.append(Package(name, version, _hash(name, one.text("integrity", "")), _origin(real, version, resolved)))
    return tuple(sorted(found, key=lambda package: package.name))


def install_task(action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> Task:
    """Installs from files. `packages` are the locked ones with the paths of their files."""
    install, mounted = [], []
    for package, path in packages:
        if package.origin.startswith(BUILD):
            mounted.append((Component(NPM_ARCHIVE), path))
            continue
        name = Component(f"{package.hash.partition(':')[2][:40]}.tgz")
        mounted.append((name, path))
        install.append({"path": NodePath(package.name), "version": package.version, "file": f"{PACKAGES}/{name}"})
    order = {
        "into": action.option("into"),
        # An outer package before those that lie in it.
        "install": sorted(install, key=lambda one: (one["path"].count(_MODULES), one["path"])),
        "files": {path.rpartition("/")[2]: content.decode("utf-8", "surrogateescape") for path, content in contents},
        "wanted": [_name_and_range(word) for word in action.wanted],
    }
    script = resources.files("envbuild.packages.inside").joinpath("npm_install.js").read_bytes()
    files = ((_ORDER, json.dumps(order).encode("utf-8", "surrogateescape")), (_SCRIPT, script))
    return Task(("/bin/sh", "-c", _FIND + _INSTALL), _environment(action), files, tuple(dict.fromkeys(mounted)))


def package_of(name: str, metadata: Fields) -> Package:
    """A version of a package as the registry describes it. Raises BadName and BadDocument."""
    dist, version = metadata.fields("dist"), NodeVersion(metadata.text("version"))
    return Package(
        name, version, _hash(name, dist.text("integrity", "")), _origin(name, version, dist.text("tarball", ""))
    )


def runs_scripts(action: InstallPackages) -> bool:
    return action.option("scripts") is not None


def fits_engine(wanted: str, version: str) -> bool:
    """Whether a Node fits package.json's `engines`: alternatives of comparisons, as `^18.17.0 || >=20.5.0`."""
    have = _numbers(version.lstrip("v"))
    return any(all(_compares(part, have) for part in one.split()) for one in wanted.split("||"))


def _compares(part: str, have: tuple[int, ...]) -> bool:
    match = re.fullmatch(r"(\^|~|>=|>|<=|<|=)?v?([\d.]+|\*)(?:\.x)*", part)
    if match is None:
        return False
    if match[2] == "*":
        return True
    want = _numbers(match[2])
    match match[1]:
        case "^":
            return have >= want and have[0] == want[0]
        case "~":
            return have >= want and have[:2] == want[:2]
        case ">=":
            return have >= want
        case ">":
            return have > want
        case "<=":
            return have <= want
        case "<":
            return have < want
        case _:
            return have == want


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.split("-")[0].split(".") if part.isdigit()]
    return tuple([*parts, 0, 0, 0][:3])


def _fits(allowed: object, have: str) -> bool:
    """package.json's `os` and `cpu`: names, or names that are not to be, with a `!`."""
    if not allowed:
        return True
    names = [allowed] if isinstance(allowed, str) else list(map(str, allowed if isinstance(allowed, list) else ()))
    wanted = [name for name in names if not name.startswith("!")]
    return f"!{have}" not in names and (not wanted or have in wanted or "any" in wanted)


def _hash(name: str, integrity: str) -> str:
    """The strongest hash of a Subresource Integrity text, in hexadecimal."""
    known = dict(word.partition("?")[0].split("-", 1) for word in integrity.split() if "-" in word)
    for algorithm in ("sha512", "sha384", "sha256", "sha1"):
        if algorithm in known:
            try:
                found = base64.b64decode(known[algorithm], validate=True)
            except ValueError:
                found = b""
            if len(found) != _HASH_BYTES[algorithm]:
                raise Unresolved("npm", f"{name} has an integrity that is no {algorithm}")
            return f"{algorithm}:{found.hex()}"
    raise Unresolved("npm", f"{name} has no integrity in the lock that npm made")


def _origin(name: str, version: str, resolved: str) -> NodeOrigin:
    """Where an archive lies in a registry. Raises BadName."""
    _, found, rest = resolved.partition("?")[0].partition("#")[0].partition(f"/{name}/-/")
    usual = f"{name.rpartition('/')[2]}-{version}.tgz"
    return NodeOrigin(f"{name}/-/{rest if found else usual}")


def _name_and_range(word: str) -> tuple[str, str]:
    name, _, wanted = word[1:].partition("@")
    return word[0] + name, wanted


def _old_lock(pins: Iterable[Package]) -> dict[str, object]:
    """A lock of the form that npm 6 had: it says which version lies where, and npm asks for the rest."""
    root: dict[str, object] = {}
    for package in sorted(pins, key=lambda one: (one.name.count(_MODULES), one.name)):
        if package.origin.startswith(BUILD):
            continue
        *above, name = NodePath(package.name).split(f"/{_MODULES}")
        level = root
        for folder in above:
            entry = level.setdefault(folder, {})
            assert isinstance(entry, dict)
            level = entry.setdefault("dependencies", {})
        algorithm, _, digits = package.hash.partition(":")
        integrity = f"{algorithm}-{base64.b64encode(bytes.fromhex(digits)).decode()}"
        level[name] = {"version": NodeVersion(package.version), "integrity": integrity}
    return {"lockfileVersion": 1, "requires": True, "dependencies": root}


def _environment(action: InstallPackages) -> tuple[tuple[str, str], ...]:
    own = (("INTO", action.option("into") or ""), ("SCRIPTS", "yes" if runs_scripts(action) else "no"))
    return (*action.environment, *own, ("npm_config_loglevel", "error"))

"""What npm is run for: to say which packages a statement means, and to install them into a folder from archives alone.

The resolution runs npm with the tree's own Node and takes the lock that npm makes. The installation unpacks archives;
npm itself is there only to run install scripts, and only where the statement asks for them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable
from importlib import resources

from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.documents import BadDocument, Fields, fields_of, value_of
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.manager import BUILD, FOLDER, OUT, PACKAGES, Contents, Task
from envbuild.packages.node_metadata import fits, hash_of, origin_of
from envbuild.packages.node_names import NodePath, NodeVersion
from envbuild.packages.npm_kept import needed_places, place_of
from envbuild.packages.npm_settings import LOCK_NAMES, SETTINGS, registry_of
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs

NEEDS_NPM, NO_NODE, HAS_OTHERS = 64, 66, 67
NPM_ARCHIVE = "npm.tgz"
_NODE_ANSWER = "what node in the sandbox says of itself"
_FILES = f"{FOLDER}/files"
_INSTALLED = f"{FOLDER}/npm_installed.js"
_RENEWED = f"{FOLDER}/renewed.json"
_KEPT = f"{FOLDER}/npm_kept.js"
_QUESTION = f"{FOLDER}/question.json"
_MODULES = "node_modules/"
_NOT_FOUND = re.compile(r"No matching version found for ((?:@[^@\s/]+/)?[^@\s/]+)@")
_APART = re.compile(
    r"^(?:package\.json|(\S{1,2048}) \S{1,256}) requires \S[^\n]{0,600}"
    r"(?:, but (\S{1,2048}) \S{1,256} is installed|, which is not installed)$",
    re.MULTILINE,
)
"""What npm_check.js says."""
_WORD = re.compile(r"(?:@[\w~.-]+/)?[\w~.-]+(?:@(?:npm:(?:@[\w~.-]+/)?[\w~.-]+(?:@[^/:@]*)?|[^/:@]*))?")
"""What a package.json may name as well."""
_LOCK = "the lock that npm made in the sandbox"
_MAX_REASON = 500
_KIND = re.compile(r"\b(?:dev|optional|peer)\b")

FIND_NPM = f"""\
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
for file in {_FILES}/*.json {_FILES}/{SETTINGS}; do if [ -e "$file" ]; then cp "$file" .; fi; done
if [ -e {_KEPT} ]; then node {_KEPT} "$INTO" package-lock.json {_QUESTION}; fi
if [ -e {_INSTALLED} ]; then node {_INSTALLED} "$INTO" package-lock.json {_RENEWED}; fi
$npm install --package-lock-only --ignore-scripts --loglevel=error -- "$@"
if [ -e npm-shrinkwrap.json ]; then cp npm-shrinkwrap.json {OUT}/package-lock.json
else cp package-lock.json {OUT}/package-lock.json; fi
: > {OUT}/omit
if grep -Eq '"(dev|devOptional|optional|peer)": ?true' {OUT}/package-lock.json; then
    $npm config get omit include production only > {OUT}/omit || : > {OUT}/omit
fi
"""
"""npm is asked what it leaves out only where there is something of these kinds: it takes 0.3 s to start."""
_ASK_NODE = f"""\
node -p 'JSON.stringify([process.version, process.arch])' > {OUT}/node.json
if [ "$SCRIPTS" = yes ]; then find_npm || exit {NEEDS_NPM}; fi
"""


def resolve_task(
    action: InstallPackages,
    contents: Contents,
    pins: Iterable[Package],
    npm: tuple[Package, str] | None,
    renewed: Collection[str] | None = None,
    stays: Collection[str] = (),
) -> Task:
    """Return what asks npm in the tree. `contents` are the project's files, `pins` what stays as it is if it can, `npm`
    npm itself with its path, for trees that have none. What the tree has stays too, but for packages that are
    `renewed`, unless that is None. Of the words of the statement those that `stays` has are no reason to renew what is
    locked."""
    files = [(f"{_FILES}/{path.rpartition('/')[2]}", content) for path, content in contents]
    if not any(name.endswith(LOCK_NAMES) for name, _ in files):
        files.append((f"{_FILES}/package-lock.json", json.dumps(_old_lock(pins)).encode()))
        if renewed is not None:
            files += [(_INSTALLED, _inside("npm_installed.js")), (_RENEWED, json.dumps(sorted(renewed)).encode())]
    if any(word in stays for word in action.wanted):
        files += _of_question(action, stays)
    packages = ((Component(NPM_ARCHIVE), npm[1]),) if npm else ()
    environment = environment_of(action)
    registry = project_registry(contents, "")
    if registry:
        # The machine's own is a variable, which npm would obey rather than the project.
        environment = (*environment, ("npm_config_registry", registry))
    words = [word for word in action.wanted if word not in stays]
    return Task(("/bin/sh", "-c", FIND_NPM + _RESOLVE, "sh", *words), environment, tuple(files), packages)


def add_task(
    action: InstallPackages,
    contents: Contents,
    kept: bytes,
    npm: tuple[Package, str] | None,
    stays: Collection[str],
) -> Task:
    """Return what asks npm in the tree for what is to be added to what the lock `kept` has; the rest as for
    `resolve_task`. It ends with HAS_OTHERS if the tree has packages that this lock does not name."""
    task = resolve_task(action, contents, (), npm, None, stays)
    own = {f"{_FILES}/package-lock.json": kept, **dict(_of_question(action, stays, all_kept=True))}
    return task.replace(files=tuple({**dict(task.files), **own}.items()))


def _of_question(action: InstallPackages, stays: Collection[str], *, all_kept: bool = False) -> Contents:
    words = [name_and_range(word) for word in action.wanted if word in stays]
    return (_KEPT, _inside("npm_kept.js")), (_QUESTION, json.dumps({"words": words, "all": all_kept}).encode())


def plain_words(words: Iterable[str]) -> frozenset[str]:
    """Return those words that name packages of a registry, as a package.json may name them, too."""
    return frozenset(word for word in words if _WORD.fullmatch(word))


def ask_node_task(action: InstallPackages) -> Task:
    """Return what asks the tree's Node for its version and architecture, and looks for npm if scripts need it."""
    return Task(("/bin/sh", "-c", FIND_NPM + _ASK_NODE), environment_of(action))


def project_registry(contents: Contents, package: str) -> str:
    """Return the address of the registry that a project's own settings name for a package, "" if none."""
    texts = [content for path, content in contents if path.rpartition("/")[2] == SETTINGS]
    return registry_of(texts[0], package) if texts else ""


def with_own_sources(task: Task) -> Task:
    """Return the same resolution, for which npm reads no npmrc of a user or of the whole tree; the registry is in the
    machine's variables (npm's documentation, "config": userconfig, globalconfig)."""
    return task.with_own_sources((("npm_config_userconfig", "/dev/null"), ("npm_config_globalconfig", "/dev/null")))


def refuse(status: int, output: str) -> None:
    """Raise what a resolution that ended with `status` means; not for NEEDS_NPM."""
    if status == NO_NODE:
        raise NoManager("npm", "node on its PATH", "install one before it, as in: apt nodejs")
    lines = [line for line in output.splitlines() if line.strip() and "complete log of this run" not in line]
    raise Unresolved("npm", "\n".join(lines[-20:]))


def not_found(output: str) -> set[str]:
    """Return the packages of which npm found no version that it was to take."""
    return set(_NOT_FOUND.findall(output))


def apart(output: str) -> set[str]:
    """Return the packages that don't go together as npm_check.js says, or of which one lacks another."""
    return {name for match in _APART.finditer(output) for name in match.groups() if name}


def reasons(text: bytes, held: Iterable[Package]) -> dict[str, str]:
    """Return for each package of the lock that npm made what of it needs that one, by the name in our locks; "" for
    nothing. What is not `held` any more is named before others. Raises BadDocument."""
    stayed = {(package.name, package.version) for package in held}
    items = {path: item for path, item in fields_of(text, _LOCK).fields("packages").items() if path}
    needs: dict[str, list[tuple[bool, str]]] = {path: [] for path in items}
    for path, item in items.items():
        version = item.text("version", "")
        by = f"{path.rpartition(_MODULES)[2]} {version}"
        dependencies = item.any("dependencies")
        for name, wanted in dependencies.items() if isinstance(dependencies, dict) else ():
            place = place_of(items, path, str(name))
            if place is not None:
                is_held = (path.removeprefix(_MODULES), version) in stayed
                needs[place].append((is_held, f"{by} needs it ({wanted})"[:_MAX_REASON]))
    return {path.removeprefix(_MODULES): min(causes)[1] if causes else "" for path, causes in needs.items()}


def node_of(answer: bytes) -> tuple[str, str]:
    """Return the version and architecture of a tree's Node. Raises BadDocument."""
    plain = value_of(answer, _NODE_ANSWER)
    if not isinstance(plain, list) or len(plain) != 2 or not all(isinstance(text, str) for text in plain):
        raise BadDocument(_NODE_ANSWER, "expected its version and architecture")
    return plain[0], plain[1]


def omitted(action: InstallPackages, answer: bytes) -> frozenset[str]:
    """Return the kinds of dependencies that are left out: dev, optional, peer. `answer` is what npm says of its
    settings."""
    said = dict(line.partition("=")[::2] for line in answer.decode("utf-8", "replace").splitlines() if "=" in line)
    said = {name.strip(): value for name, value in said.items()}
    if "omit" not in said:  # npm 6 tells one setting at a time
        return frozenset({"dev"} if dict(action.environment).get("NODE_ENV") == "production" else ())
    kinds = set(_KIND.findall(said["omit"]))
    if said.get("production", "").strip() == "true" or said.get("only", "").strip() in ("prod", "production"):
        kinds.add("dev")
    return frozenset(kinds - set(_KIND.findall(said.get("include", ""))))


def read_answer(
    action: InstallPackages, text: bytes, node: bytes, omit: frozenset[str] = frozenset()
) -> tuple[Package, ...]:
    """Return the packages of the lock that npm made (package-lock.json(5), lockfileVersion 2 and 3), for the Node that
    `node` describes and without the kinds of dependencies in `omit`. Raises Unresolved for what comes from elsewhere
    than a registry, BadName and BadDocument."""
    _, architecture = node_of(node)
    packages = []
    items = dict(fields_of(text, _LOCK).fields("packages").items())
    unfit = {path for path, item in items.items() if path and not _runs(item, architecture)}
    needed = needed_places(items, unfit)
    # Where the lock does not say what needs all the others, as with npm's save=false, it says nothing of these either.
    is_known = all(path in needed or path in unfit or item.flag("optional") for path, item in items.items())
    for path, item in items.items():
        if not path or item.flag("inBundle") or _is_omitted(item, omit):
            continue
        name = path.removeprefix(_MODULES)
        resolved = item.text("resolved", "")
        if item.flag("link") or not path.startswith(_MODULES) or (resolved and not resolved.startswith("http")):
            raise Unresolved(
                "npm",
                f"{name!r} comes from {resolved or path!r}, and only packages of a registry can be locked",
                "copy it in and install it with a run step, or publish it",
            )
        if path in unfit or (is_known and item.flag("optional") and path not in needed):
            continue
        name, version = NodePath(name), NodeVersion(item.text("version"))
        real = NodePath(item.text("name", "") or name.rpartition(_MODULES)[2])
        digest = hash_of(name, item.text("integrity", ""))
        packages.append(Package(name, version, digest, origin_of(real, version, resolved)))
    return tuple(sorted(packages, key=lambda package: package.name))


def _runs(item: Fields, architecture: str) -> bool:
    if item.flag("libc") and not fits(item.any("libc"), "glibc"):
        return False
    return fits(item.any("os"), "linux") and fits(item.any("cpu"), architecture)


def _is_omitted(item: Fields, omit: frozenset[str]) -> bool:
    """Return whether nothing but what is left out needs a package (package-lock.json(5): dev, devOptional)."""
    return (
        any(item.flag(kind) for kind in omit)
        # What both a development package and an optional one need.
        or (item.flag("devOptional") and {"dev", "optional"} <= omit)
    )


def package_of(name: str, metadata: Fields) -> Package:
    """Return a version of a package as the registry describes it. Raises BadName and BadDocument."""
    dist, version = metadata.fields("dist"), NodeVersion(metadata.text("version"))
    return Package(
        name, version, hash_of(name, dist.text("integrity", "")), origin_of(name, version, dist.text("tarball", ""))
    )


def runs_scripts(action: InstallPackages) -> bool:
    """Return whether a statement asks for the install scripts of packages."""
    return action.option("scripts") is not None


def fits_engine(wanted: str, version: str) -> bool:
    """Return whether a Node fits package.json's `engines`: alternatives of comparisons, as `^18.17.0 || >=20.5.0`."""
    have = _numbers(version.lstrip("v"))
    return any(all(_compares(part, have) for part in alternative.split()) for alternative in wanted.split("||"))


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


def name_and_range(word: str) -> tuple[str, str]:
    """Return the name and the range that a word asks for, "" for no range."""
    name, _, wanted = word[1:].partition("@")
    return word[0] + name, wanted


def _old_lock(pins: Iterable[Package]) -> dict[str, object]:
    """Return a lock in the form of npm 6: it says which version lies where, and npm asks for the rest."""
    root: dict[str, object] = {}
    for package in sorted(pins, key=lambda pin: (pin.name.count(_MODULES), pin.name)):
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


def _inside(name: str) -> bytes:
    return resources.files("envbuild.packages.inside").joinpath(name).read_bytes()


def environment_of(action: InstallPackages) -> Pairs:
    """Return the variables of a task of npm's."""
    own = (("INTO", action.option("into") or ""), ("SCRIPTS", "yes" if runs_scripts(action) else "no"))
    return (*action.environment, *own, ("npm_config_loglevel", "error"))

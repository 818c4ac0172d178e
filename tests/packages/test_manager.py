"""Package managers behind their one interface, without a sandbox: a fake resolution plays the tree."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from envbuild.errors import UsageError
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_tasks, npm_tasks, pip_tasks
from envbuild.packages.apt_servers import AptServers
from envbuild.packages.cache import Address, Wanted
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.manager import MAX_ATTEMPTS, ManagerSettings, Task, TaskResult, fewer_pins
from envbuild.packages.npm_archive import Odd
from envbuild.packages.npm_servers import NpmServers
from envbuild.packages.pip import LocalRequirement
from envbuild.packages.pip_servers import PipServers
from envbuild.packages.plain_names import plain_name
from envbuild.packages.registry import KINDS, manager_of
from envbuild.plan.step import InstallPackages
from envbuild.store.store import Store
from tests.imports import imported

ZEROS = "0" * 64
HASH = f"sha256:{ZEROS}"
MACHINE = ManagerSettings(
    (("npm_config_registry", "https://registry.test/"), ("PIP_INDEX_URL", "https://i.test/simple")), "/x", 9
)


def action(manager: str, *wanted: str, files=(), into: str = "/x") -> InstallPackages:
    return InstallPackages(manager, wanted or ("a",), files, (("into", into),), (), "/")


@dataclass
class FakeResolution:
    """A resolution whose tasks end one after the other as `ends` says, and leave `left`."""

    action: InstallPackages
    ends: list[TaskResult]
    left: dict[str, bytes]
    pinned: tuple[Package, ...] = ()
    contents: tuple[tuple[str, bytes], ...] = ()
    renewed: frozenset[str] = frozenset()
    earlier: tuple[Package, ...] = ()
    base: tuple[Package, ...] = ()
    extended: tuple[Package, ...] = ()
    before: tuple[Package, ...] = ()
    wanted_before: tuple[str, ...] = ()
    holds: bool = False
    own_sources: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    downloaded: list[Wanted] = field(default_factory=list)

    @property
    def store(self) -> Store:
        raise Odd  # there are no archives to read

    def run(self, task: Task) -> TaskResult:
        self.tasks.append(task)
        return self.ends.pop(0)

    def answer(self, name: str) -> bytes:
        return self.left.get(name, b"")

    def explain(self, reasons: dict[str, str]) -> None:
        self.reasons.update(reasons)

    def download(self, wanted: Wanted) -> str:
        self.downloaded.append(wanted)
        return f"/cache/{wanted.package.name}"


def text_of(task: Task, name: str) -> str:
    return dict(task.files)[name].decode()


COUPLED = """\
Some packages could not be installed.
The following packages have unmet dependencies:
 curl : Depends: libcurl4 (= 7.1-1) but 7.2-1 is to be installed
        Depends: libc6 (>= 2.3) but it is not going to be installed
        PreDepends: curl-data:all (= 1:7.1-1) but 1:7.2-1 is to be installed
 other : Depends: libother (= 1) but 2 is to be installed
         Depends: libmore
E: Unable to correct problems, you have held broken packages.
"""


def test_apt_is_told_which_versions_only_go_with_one_that_is_asked_for():
    assert apt_tasks.with_versions(("curl=7.1-1", "jq", "zlib1g:arm64=1.*")) == {"curl", "zlib1g"}
    needed = {"libcurl4": "7.1-1", "curl-data": "1:7.1-1"}
    assert apt_tasks.needed_exactly(COUPLED, {"curl"}) == needed
    assert apt_tasks.needed_exactly(COUPLED, {"other", "libmore"}) == {"libother": "1"}
    assert apt_tasks.needed_exactly("a : Depends: b (= 1)\n b (= 2) but", {"a"}) == {}


def test_each_manager_has_a_module_and_is_called_as_its_statement():
    assert [manager_of(name).name for name in KINDS] == ["apt", "pip", "npm"]


def test_a_cached_build_does_not_import_what_resolves_and_installs():
    heavy = ("urllib3", "zipfile", "importlib.resources", "dataclasses", "typing")
    assert imported("package_managers", *heavy) == set()


@pytest.mark.parametrize(
    ("manager", "package"),
    [
        ("apt", Package("jq", "1.6", HASH, "debian/pool/main/j/jq/jq_1.6_amd64.deb")),
        ("pip", Package("flask", "3.0", HASH, "index/flask-3.0-py3-none-any.whl")),
        ("pip", Package("flask", "3.0", HASH, "build/https://x.test/flask-3.0.tar.gz")),
        ("npm", Package("@a/b/node_modules/c", "1.0.0", HASH, "c/-/c-1.0.0.tgz")),
    ],
)
def test_what_a_package_is_called_is_checked(manager, package):
    assert manager_of(manager).check(package) is package
    for changed in (package.replace(name="../x"), package.replace(version="1 2"), package.replace(origin="../x")):
        with pytest.raises(UnsafeName):
            manager_of(manager).check(changed)


def test_requirement_files_are_read_with_those_that_they_name():
    files = {"a.txt": b"flask\n-r sub/b.txt\n", "sub/b.txt": b"-c ../c.txt\n", "c.txt": b"x==1\n-r a.txt\n"}
    contents = manager_of("pip").files_of(action("pip", files=(("-r", "a.txt"),)), lambda path, option: files[path])
    assert [path for path, _ in contents] == ["a.txt", "sub/b.txt", "c.txt"]
    with pytest.raises(LocalRequirement):
        manager_of("pip").files_of(action("pip", files=(("-r", "a.txt"),)), lambda path, option: b"./mine\n")


def test_a_project_of_npm_is_its_package_and_the_lock_that_goes_first():
    def read(path: str, option: str) -> bytes:
        if path.endswith("npm-shrinkwrap.json"):
            raise UsageError("not there")
        return path.encode()

    contents = manager_of("npm").files_of(action("npm", files=(("-r", "app/"),)), read)
    assert [path for path, _ in contents] == ["app/package.json", "app/package-lock.json", "app/.npmrc"]
    assert manager_of("npm").installed_files((("a/package.json", b"{}"), ("a/.npmrc", b""))) == (
        ("a/package.json", b"{}"),
    )


def test_a_lock_may_not_send_pip_to_an_address_that_the_statement_does_not_name():
    address = "https://x.test/a-1.0.tar.gz"
    packages = [Package("a", "1.0", HASH, address)]
    assert not manager_of("pip").trusts(action("pip", "a"), (), packages)
    assert manager_of("pip").trusts(action("pip", f"a @ {address}"), (), packages)
    assert manager_of("pip").trusts(action("pip", "a"), (("r.txt", f"a @ {address}\n".encode()),), packages)
    assert manager_of("pip").trusts(action("pip", "a"), (), [Package("a", "1.0", HASH, "index/a-1.0.tar.gz")])


def test_a_name_as_a_user_gives_it():
    assert [plain_name(name) for name in ("libc6:i386", "a/node_modules/@b/c", "flask")] == ["libc6", "@b/c", "flask"]


def test_fewer_packages_are_held_with_each_attempt_and_none_in_the_end():
    pinned = (Package("a", "1", HASH, "x"), Package("b:i386", "1", HASH, "x"))
    assert fewer_pins(pinned, {"b"}, 0) == pinned[:1]
    assert fewer_pins(pinned, set(), 0) == (), "nothing was named, so all are in the way"
    assert fewer_pins(pinned, {"b"}, MAX_ATTEMPTS - 2) == ()


URI = f"'http://deb.test/debian/pool/j/jq_1.6_amd64.deb' jq_1.6_amd64.deb 9 SHA256:{ZEROS}\n".encode()
UNMET = " a : Depends: b (= 2) but 1 is to be installed\nE: Unable to correct problems\n"


def test_apt_lets_go_of_what_stands_in_the_way_and_keeps_the_rest():
    pinned = tuple(Package(name, "1", HASH, f"debian/{name}.deb") for name in ("aa", "bb", "cc"))
    ends = [TaskResult(100, UNMET.replace(" a ", " aa ").replace(" b ", " bb ")), TaskResult(0, "")]
    resolution = FakeResolution(action("apt", "jq"), ends, {"uris": URI, "architecture": b"amd64\n"}, pinned)
    ((package, address),) = AptServers(MACHINE).resolve(resolution)
    assert (package.name, package.version, package.hash) == ("jq", "1.6", HASH)
    assert address == "http://deb.test/debian/pool/j/jq_1.6_amd64.deb"
    assert [text_of(task, apt_tasks.PREFERENCES).count("Pin:") for task in resolution.tasks] == [3, 1]
    assert "Package: cc\n" in text_of(resolution.tasks[1], apt_tasks.PREFERENCES)


def test_a_tree_without_apt_is_refused_at_once():
    with pytest.raises(NoManager):
        AptServers(MACHINE).resolve(FakeResolution(action("apt"), [TaskResult(apt_tasks.NO_APT, "")], {}))
    with pytest.raises(Unresolved, match="E: Unable"):
        AptServers(MACHINE).resolve(FakeResolution(action("apt"), [TaskResult(100, UNMET)], {}))


def answer_of(*items: dict, pip: str = "/usr/lib/pip") -> bytes:
    return json.dumps({"found": list(items), "pip": [pip]}).encode()


ALPHA = {"name": "Alpha", "version": "1.0", "sha256": ZEROS, "direct": False, "build": False}
WHEEL = {**ALPHA, "url": "https://i.test/alpha-1.0-py3-none-any.whl"}
SOURCE = {**ALPHA, "url": "https://i.test/alpha-1.0.tar.gz"}


def pip_servers(monkeypatch) -> PipServers:
    servers = PipServers(MACHINE)
    newest = Package("pip", "24.0", HASH, "build/index/pip-24.0-py3-none-any.whl")
    monkeypatch.setattr(servers, "newest_pip", lambda python: (newest, Address(f"https://i.test/{python}")))
    return servers


def test_a_tree_without_pip_gets_one_which_is_locked_if_it_has_to_build(monkeypatch):
    ends = [TaskResult(pip_tasks.NEEDS_PIP, ""), TaskResult(0, "")]
    left = {
        "python": b"3.11",
        "found.json": answer_of(SOURCE, pip="/run/envbuild/packages/pip-24.0-py3-none-any.whl/pip"),
    }
    resolution = FakeResolution(action("pip"), ends, left)
    resolved = pip_servers(monkeypatch).resolve(resolution)
    assert [(package.name, address) for package, address in resolved] == [
        ("alpha", "https://i.test/alpha-1.0.tar.gz"),
        ("pip", ""),
    ]
    assert [wanted.addresses[0].url for wanted in resolution.downloaded] == ["https://i.test/3.11"]
    assert resolution.tasks[1].packages == (("pip-24.0-py3-none-any.whl", "/cache/pip"),)


def test_pip_is_asked_twice_where_some_versions_are_renewed(monkeypatch):
    pinned = (Package("beta", "1.0", HASH, "index/beta-1.0-py3-none-any.whl"),)
    resolution = FakeResolution(
        action("pip"), [TaskResult(0, ""), TaskResult(0, "")], {"found.json": answer_of(WHEEL)}, pinned
    )
    resolution.renewed = frozenset({"alpha"})
    ((package, _),) = pip_servers(monkeypatch).resolve(resolution)
    assert package.origin == "index/alpha-1.0-py3-none-any.whl"
    held = [text_of(task, pip_tasks.CONSTRAINTS) for task in resolution.tasks]
    assert held == ["", "beta==1.0\nalpha==1.0\n"]


def test_own_sources_are_all_that_a_prepared_tree_is_told(monkeypatch):
    resolution = FakeResolution(action("pip"), [TaskResult(0, "")], {"found.json": answer_of(WHEEL)}, own_sources=True)
    resolution.action = resolution.action.replace(environment=(("PIP_INDEX_URL", "https://evil.test"), ("LANG", "C")))
    pip_servers(monkeypatch).resolve(resolution)
    environment = dict(resolution.tasks[0].environment)
    assert environment["PIP_INDEX_URL"] == "https://i.test/simple"
    assert environment["PIP_CONFIG_FILE"] == "/dev/null"
    assert environment["LANG"] == "C"


def test_npm_keeps_what_earlier_statements_installed_and_gives_up_the_lock_at_last():
    lock = {"packages": {"": {}, "node_modules/a": {"version": "1.0.0", "integrity": f"sha1-{'A' * 27}="}}}
    left = {"package-lock.json": json.dumps(lock).encode(), "node.json": b'["v18.19.0", "x64"]', "omit": b""}
    resolution = FakeResolution(action("npm"), [TaskResult(1, "conflict"), TaskResult(0, "")], left)
    resolution.pinned = (Package("b", "1.0.0", HASH, "b/-/b-1.0.0.tgz"),)
    resolution.earlier = (Package("b", "2.0.0", HASH, "b/-/b-2.0.0.tgz"),)
    ((package, address),) = NpmServers(MACHINE).resolve(resolution)
    assert (package.name, package.origin, address) == ("a", "a/-/a-1.0.0.tgz", "")
    held = [json.loads(text_of(task, f"{npm_tasks.FOLDER}/files/package-lock.json")) for task in resolution.tasks]
    assert [
        sorted((name, dependency["version"]) for name, dependency in tree["dependencies"].items()) for tree in held
    ] == [
        [("b", "2.0.0")],
        [],
    ]


def test_where_npm_finds_a_package():
    package = Package("npm", "9.0.0", HASH, "build/npm/-/npm-9.0.0.tgz")
    addresses, problems = NpmServers(MACHINE).find(action("npm"), (), package)
    assert [address.url for address in addresses] == ["https://registry.test/npm/-/npm-9.0.0.tgz"]
    assert problems == []


def test_what_only_packages_for_other_machines_need_is_not_installed():
    def item(**more: object) -> dict:
        return {"version": "1.0.0", "integrity": f"sha1-{'A' * 27}=", **more}

    lock = {
        "packages": {
            "": {"dependencies": {"a": "1"}, "devDependencies": {"d": "1"}},
            "node_modules/a": item(optionalDependencies={"a-wasm": "1", "a-linux": "1"}, peerDependencies={"p": "1"}),
            "node_modules/a-wasm": item(optional=True, cpu=["wasm32"], dependencies={"w": "1", "both": "1"}),
            "node_modules/a-linux": item(optional=True, os=["linux"], dependencies={"both": "1"}),
            "node_modules/w": item(optional=True),
            "node_modules/both": item(optional=True),
            "node_modules/p": item(peer=True),
            "node_modules/d": item(dev=True),
        }
    }
    packages = npm_tasks.read_answer(action("npm"), json.dumps(lock).encode(), b'["v18.19.0", "x64"]')
    assert [package.name for package in packages] == ["a", "a-linux", "both", "d", "p"]
    del lock["packages"][""]["dependencies"]  # as with save=false
    packages = npm_tasks.read_answer(action("npm"), json.dumps(lock).encode(), b'["v18.19.0", "x64"]')
    assert "w" in [package.name for package in packages]

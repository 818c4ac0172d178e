"""`go`: the modules of a go.sum, in a module cache that go builds from without network."""

import subprocess
import zipfile

import pytest

from envbuild.images.host_network import go_proxies
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages import go_sum
from envbuild.packages.go import GoManager
from envbuild.packages.go_names import place_of
from envbuild.packages.go_servers import GoServers, NoGoProxy
from envbuild.packages.go_sum import BadGoSum, OtherModule, Sum, sums_of
from envbuild.packages.manager import ManagerSettings
from envbuild.plan.step import InstallPackages
from tests.conftest import DEBIAN, installs_of, purls
from tests.packages.module_proxy import ModuleProxy, archive, h1

ACTION = InstallPackages("go", (), (("-r", "app"),), (("into", "/go"),), (), "")
OWN = "example.test/Own"
FILES = {"go.mod": f"module {OWN}\n".encode(), "own.go": b"package own\n"}
ZERO = h1({})


def read(text: str) -> dict[str, Sum]:
    return sums_of((("app/go.sum", text.encode()),))


def test_a_go_sum_names_modules_and_their_go_mod_files():
    modules = read(
        f"{OWN} v1.0.0 {ZERO}\n{OWN} v1.0.0/go.mod {ZERO}\n\ngopkg.in/yaml.v3 v3.0.0-2020-x+incompatible {ZERO}\n"
    )
    assert [(name, said.place) for name, said in modules.items()] == [
        ("example.test/Own@v1.0.0", "example.test/!own/@v/v1.0.0.zip"),
        ("example.test/Own@v1.0.0/go.mod", "example.test/!own/@v/v1.0.0.mod"),
        ("gopkg.in/yaml.v3@v3.0.0-2020-x+incompatible", "gopkg.in/yaml.v3/@v/v3.0.0-2020-x+incompatible.zip"),
    ]
    packages = [Package(name, said.version, f"sha256:{'a' * 64}", "goproxy") for name, said in modules.items()]
    text = "".join(f"{said.module} {said.version}{'/go.mod' * said.is_mod} {ZERO}\n" for said in modules.values())
    contents, manager = (("app/go.sum", text.encode()),), GoManager()
    assert manager.trusts(ACTION, contents, packages)
    assert not manager.trusts(ACTION, contents, packages[:2])
    assert not manager.trusts(ACTION, (("app/go.sum", b"x"),), packages)
    assert [manager.check(package) for package in packages] == packages
    for changed in ({"name": "a/../b@v1.0.0"}, {"name": f"{OWN}@v1.0.1"}, {"origin": "https://h.test"}):
        with pytest.raises(UnsafeName):
            manager.check(packages[0].replace(**changed))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{OWN} v1.0.0\n", "app/go.sum:1: 'example.test/Own v1.0.0' is not a module, a version and a hash"),
        (f"\n{OWN} v1.0.0 h2:abc\n", "app/go.sum:2: 'h2:abc' is not a hash"),
        (f"{OWN} v1.0.0 h1:abc=\n", "is not a hash"),
        (f"{OWN} v1.0.0 {ZERO}\n{OWN} v1.0.0 {h1({'x': b''})}\n", ":2: example.test/Own@v1.0.0 has two hashes"),
        ("\n" * 100_001, "more than 100,000 lines"),
    ],
)
def test_a_go_sum_that_can_not_be_used_is_told_with_its_line(text, message):
    with pytest.raises(BadGoSum) as caught:
        read(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("module", "version"),
    [("../own", "v1.0.0"), ("/own", "v1.0.0"), ("a//b", "v1.0.0"), (".own", "v1.0.0"), ("-x/./y", "v1.0.0"),
     ("own", "v1.0.0/../x"), ("own", "latest"), ("own", "v1"), ("own\x00", "v1.0.0"), ("o" * 501, "v1.0.0")],
)  # fmt: skip
def test_names_of_a_hostile_go_sum_are_refused(module, version):
    with pytest.raises(UnsafeName):
        place_of(module, version, "zip")


def test_what_a_proxy_has_is_held_against_go_sum(tmp_path, monkeypatch):
    inside = {f"{OWN}@v1.0.0/{name}": content for name, content in FILES.items()}
    (whole,) = read(f"{OWN} v1.0.0 {h1(inside)}\n").values()
    whole.check(archive(OWN, "v1.0.0", FILES))
    # In another order and without compression it is another file, and the same module.
    path = tmp_path / "plain.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for name, content in reversed(inside.items()):
            stream.writestr(name, content)
    whole.check(path.read_bytes())
    for content, message in (
        (archive(OWN, "v1.0.0", {**FILES, "own.go": b""}), "expected h1:"),
        (archive(OWN, "v1.0.1", FILES), "expected h1:"),
        (b"no zip", "can't be read"),
        (archive(OWN, "v1.0.0", {"a\nb": b""}), "a file that no module has"),
    ):
        with pytest.raises(OtherModule, match=message):
            whole.check(content)
    # As everybody's go.sum has it.
    own_mod = b"module github.com/pkg/errors\n"
    assert go_sum.hash_of_mod(own_mod) == "h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0="
    (said,) = read(f"{OWN} v1.0.0/go.mod {h1({'go.mod': FILES['go.mod']})}\n").values()
    said.check(FILES["go.mod"])
    with pytest.raises(OtherModule, match=r"Own@v1\.0\.0/go\.mod"):
        said.check(FILES["go.mod"] + b"\n")
    monkeypatch.setattr(go_sum, "MAX_UNPACKED", 4096)
    with pytest.raises(OtherModule, match="more than 4,096 bytes"):
        whole.check(archive(OWN, "v1.0.0", {"zeros": bytes(1 << 20)}))
    monkeypatch.setattr(go_sum, "MAX_FILES", 1)
    with pytest.raises(OtherModule, match="more than 1 files"):
        whole.check(archive(OWN, "v1.0.0", FILES))


def test_the_proxies_are_those_of_the_user(monkeypatch):
    settings = "https://ada:secret@a.test/,http://b.test|direct,off,file:///x"
    assert go_proxies({"GOPROXY": settings}) == ["https://ada:secret@a.test", "http://b.test"]
    servers = GoServers(ManagerSettings((("GOPROXY", settings),), "/nowhere", 1))
    assert servers.proxies == ["https://a.test", "http://b.test"]
    assert servers.transport().headers[0][:2] == ("https://a.test/", "Authorization")
    monkeypatch.setenv("PATH", "/nowhere")
    for text in ("", "off", "direct"):
        with pytest.raises(NoGoProxy):
            assert GoServers(ManagerSettings((("GOPROXY", text),), "/nowhere", 1)).proxies


@pytest.mark.namespaces
def test_modules_are_fetched_by_their_hashes_into_a_module_cache(project, server):
    proxy = ModuleProxy(server)
    proxy.add(OWN, "v1.0.0", FILES)
    proxy.add("example.test/plain", "v0.1.0", {"plain.go": b"package plain\n"})
    project.write("app/go.sum", *proxy.sums)
    done = project.build("go(into=/go) -r app", GOPROXY=f"{server.address},direct")
    assert done.code == 0, done.out + done.err
    cache = "/go/cache/download/example.test"
    assert sorted(project.ls(f"{cache}/!own/@v")) == ["v1.0.0.mod", "v1.0.0.zip", "v1.0.0.ziphash"]
    assert f"{OWN} v1.0.0 {project.cat(f'{cache}/!own/@v/v1.0.0.ziphash')}" in proxy.sums
    assert project.cat(f"{cache}/plain/@v/v0.1.0.mod") == "module example.test/plain\n"
    (install,) = installs_of(project.folder / "web.env.lock")
    assert [package["name"] for package in install["packages"]] == [
        "example.test/Own@v1.0.0",
        "example.test/Own@v1.0.0/go.mod",
        "example.test/plain@v0.1.0",
        "example.test/plain@v0.1.0/go.mod",
    ]
    # Of a go.mod alone nothing is compiled.
    assert purls(project) == ["pkg:golang/example.test/own@v1.0.0", "pkg:golang/example.test/plain@v0.1.0"]
    asked = len(server.asked)
    again = project.build(options=("--locked", "--offline", "--rerun", "2"), GOPROXY="off")
    assert (again.image, len(server.asked)) == (done.image, asked), again.out + again.err
    # The lock can't have another file in the place of what go.sum names.
    lock = project.folder / "web.env.lock"
    own, _, plain, _ = (package["hash"] for package in install["packages"])
    lock.write_text(lock.read_text().replace(own, plain))
    done = project.build(options=("--locked",), GOPROXY="off")
    assert (done.code, "example.test/Own@v1.0.0: what the proxy has is not what go.sum names" in done.out) == (1, True)
    lock.unlink()
    server.files["/example.test/plain/@v/v0.1.0.mod"] += b"// changed\n"
    done = project.build(GOPROXY=server.address)
    assert (done.code, "example.test/plain@v0.1.0/go.mod: what the proxy has is not" in done.out) == (1, True)
    (failed,) = done.of("step-failed")
    assert failed["line"] == 2


@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.nightly  # Debian's go has 400 MB
def test_debians_go_builds_with_debians_modules_offline(debian, server, tmp_path):
    proxy = ModuleProxy(server)
    debs = ["golang-github-pkg-errors-dev", "golang-github-burntsushi-toml-dev"]
    subprocess.run(["apt-get", "download", *debs], cwd=tmp_path, check=True)
    for file in tmp_path.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, tmp_path / "unpacked"], check=True)
    sources = tmp_path / "unpacked/usr/share/gocode/src"
    proxy.add_folder("github.com/pkg/errors", "v0.9.1", sources / "github.com/pkg/errors")
    proxy.add_folder("github.com/BurntSushi/toml", "v1.2.0", sources / "github.com/BurntSushi/toml")
    debian.write("app/go.sum", *proxy.sums)
    needs = ["require github.com/pkg/errors v0.9.1", "require github.com/BurntSushi/toml v1.2.0"]
    debian.write("app/go.mod", "module example.test/app", "go 1.19", *needs)
    debian.write(
        "app/main.go",
        "package main",
        'import ("fmt"; "github.com/BurntSushi/toml"; "github.com/pkg/errors")',
        "func main() {",
        '    var v struct{ A int }; _, err := toml.Decode("a = 42", &v); fmt.Println(v.A, err, errors.New("own"))',
        "}",
    )
    recipe = (DEBIAN, "apt golang-go", "go(into=/root/go/pkg/mod) -r app", "copy(contents) app -> /src")
    done = debian.build(*recipe, "run cd /src && go run .", GOPROXY=server.address)
    assert done.code == 0, done.out
    assert "42 <nil> own\n" in done.printed


@pytest.mark.namespaces
def test_gc_keeps_the_files_that_a_lock_names_and_no_others(project, server):
    proxy = ModuleProxy(server)
    proxy.add("example.test/plain", "v0.1.0", {"plain.go": b"package plain\n"})
    project.write("app/go.sum", *proxy.sums)
    done = project.build("go(into=/go) -r app", GOPROXY=server.address)
    assert done.code == 0, done.out + done.err
    kept = project.store / "packages"
    names = sorted(path.name for path in kept.iterdir())
    assert len(names) == 2
    (kept / "sha256-0000.part").write_bytes(b"x" * 100)
    assert project.command("gc").code == 0
    assert sorted(path.name for path in kept.iterdir()) == names
    (project.folder / "web.env.lock").unlink()
    assert project.command("gc").code == 0
    assert not list(kept.iterdir())

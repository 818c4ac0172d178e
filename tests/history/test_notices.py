"""What `diff` shows of a path by itself, however many others there are."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from envbuild.history import package_contents
from envbuild.history.compare import Comparison, compare
from envbuild.history.notices import Notice, Origins, notices_of, program_folders
from envbuild.history.operand import operand_of
from envbuild.history.packages_in_brief import packages_in_brief
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import CHARACTER_DEVICE, DIRECTORY, FILE, LINK, Entry
from envbuild.ui.reports.terminal import lines_of
from envbuild.ui.stream import Output
from tests.conftest import Project
from tests.history.conftest import Packages
from tests.ui.screen import Terminal

COPY = "copy root/ -> /"
CAPABILITY = ((b"security.capability", b"\1\0\0\2"),)
FOLDERS = frozenset(program_folders(["/opt/tool/bin:/usr/bin"]))


def file(name: str, mode: int = 0o644, digest: str = "a" * 64, uid: int = 0, gid: int = 0, **others: object) -> Entry:
    return Entry(name.encode(), FILE, mode, uid, gid, 0, 10, digest, **others)  # type: ignore[arg-type]


def link(target: str) -> Entry:
    return Entry(b"l", LINK, 0o777, 0, 0, 0, 0, "", target.encode())


def notice_of(path: str, before: Entry | None, after: Entry | None, **origins: object) -> Notice | None:
    def same(entry: Entry, other: Entry) -> bool:
        return (entry.uid, entry.gid) == (other.uid, other.gid)

    known = Origins(**{"moved": {}, "same": {}, "edited": frozenset(), "known": True, "same_owner": same, **origins})
    return next(iter(notices_of([Change(path.encode(), before, after)], [], known, FOLDERS)), None)


OLD = file("x")
OTHER = file("x", digest="b" * 64)


@pytest.mark.parametrize(
    ("path", "before", "after", "kind", "reason"),
    [
        ("srv/x", OLD, file("x", 0o4755), "privilege", "set-user-id gained"),
        ("srv/x", OLD, file("x", 0o2755), "privilege", "set-group-id gained"),
        ("srv/x", None, file("x", 0o4755), "privilege", "set-user-id"),
        ("srv/x", OLD, file("x", xattrs=CAPABILITY), "privilege", "capabilities changed"),
        ("srv/x", file("x", 0o4755), file("x", 0o4755, uid=5), "privilege", "runs as another user"),
        ("srv/x", file("x", 0o4755), OTHER._replace(mode=0o4755), "privilege", "runs with its owner's rights"),
        ("srv/x", None, Entry(b"x", CHARACTER_DEVICE, 0o600, 0, 0, 0, 0, "", b"1:1"), "privilege", "a device"),
        ("srv/x", file("x", 0o4755), file("x", 0o755), "rights", ""),
        ("usr/bin/x", None, file("x", 0o755), "program", "of no package"),
        ("usr/bin/x", file("x", 0o755), None, "program", ""),
        ("opt/tool/bin/x", None, file("x", 0o755), "program", "of no package"),
        ("usr/bin/sh", link("dash"), link("bash"), "program", "of no package"),
        ("bin", link("usr/bin"), link("srv/bin"), "program", "a directory of programs"),
        ("usr/bin/x", None, file("x"), None, ""),
        ("etc/x", None, OLD, "configuration", ""),
        ("etc/x", OLD, None, "configuration", ""),
        ("etc/x", None, Entry(b"x", DIRECTORY, 0o755, 0, 0, 0), None, ""),
        ("root/.ssh/authorized_keys", None, OLD, "configuration", ""),
        ("srv/x", link("a"), link("b"), "target", ""),
        ("srv/x", OLD, link("b"), "target", ""),
        ("srv/x", OLD, file("x", 0o666), "rights", ""),
        ("srv/x", OLD, file("x", uid=33), "rights", ""),
        ("srv/x", OLD, OTHER, None, ""),
        ("srv/x", None, OLD, None, ""),
        ("srv/x", OLD, None, None, ""),
    ],
)
def test_what_a_path_is_shown_for(path, before, after, kind, reason):
    notice = notice_of(path, before, after)
    assert (notice.kind, notice.reason) == (kind, reason) if notice is not None else kind is None


def test_files_of_packages_are_shown_if_they_are_not_what_the_package_brought():
    path = b"usr/share/x"
    edited = notice_of("usr/share/x", OLD, OTHER, same={path: "tool"})
    assert (edited.kind, edited.reason, edited.package) == ("package file", "edited in tool", "tool")
    moved = notice_of("usr/share/x", OLD, OTHER, moved={path: "tool"}, edited=frozenset({path}))
    assert (moved.kind, moved.reason) == ("package file", "not as tool brought it")
    assert notice_of("usr/share/x", OLD, None, same={path: "tool"}).kind == "package file"


def test_what_matters_comes_first():
    def same(entry: Entry, other: Entry) -> bool:
        return True

    rest = [
        Change(b"srv/mode", OLD, file("x", 0o600)),
        Change(b"srv/open", OLD, file("x", 0o666)),
        Change(b"etc/new", None, OLD),
        Change(b"etc/old", OLD, OTHER),
        Change(b"etc/ld.so.preload", None, OLD),
        Change(b"usr/bin/less", file("x", 0o755), file("x", 0o4755)),
        Change(b"usr/bin/openssl", file("x", 0o755), OTHER),
    ]
    explained = [(Change(b"usr/bin/sudo", None, file("x", 0o4755)), "sudo")]
    notices = notices_of(rest, explained, Origins({}, {}, frozenset(), False, same), FOLDERS)
    assert [notice.change.path.decode() for notice in notices] == [
        *("usr/bin/less", "usr/bin/sudo", "usr/bin/openssl"),
        *("etc/ld.so.preload", "etc/old", "etc/new", "srv/open", "srv/mode"),
    ]


def first_screen(project: Project, *words: str) -> list[str]:
    """The rows of a terminal of 100 columns and 40 rows that a user sees before pressing a key: one is the pager's."""
    terminal = Terminal(100, 40)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "envbuild", *words],
            cwd=project.folder,
            env={**project.environment, "ENVBUILD_PAGER": "cat", "TERM": "xterm", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=terminal.stream,
            stderr=terminal.stream,
        )
        while process.poll() is None:
            terminal.wait_for("")
        return terminal.shown[:39]
    finally:
        terminal.close()


def compared(project: Project) -> Comparison:
    with Store.open(project.environment["ENVBUILD_STORE"]) as store:
        old, new = (operand_of(store, name, lambda path: None) for name in ("web@{1}", "web"))
        return compare(store, old, new)


@pytest.fixture
def many(packages: Packages) -> Callable[[str], None]:
    """A hundred packages, of a version that is told."""

    def install(version: str) -> None:
        for number in range(100):
            name = f"package{number}"
            files = {f"usr/share/{name}/data": version, f"usr/bin/{name}": f"{name} {version}"}
            conffiles = {f"etc/{name}.conf": f"setting {version}\n"}
            packages.debian(name, version, {**files, **conffiles}, tuple(conffiles))
            (packages.folder / f"usr/bin/{name}").chmod(0o755)
        packages.debian("less", "590", {"usr/bin/less": "less"})
        (packages.folder / "usr/bin/less").chmod(0o755)

    return install


def test_five_faults_among_a_hundred_packages_are_on_the_first_screen(project, packages, many):
    many("1")
    for number in range(70):
        packages.file(f"srv/data/{number}", "old")
    project.build(COPY, "env MODE=production")
    many("2")
    for number in range(70):
        packages.file(f"srv/data/{number}", "new")
    packages.file("etc/package7.conf", "setting 2\nbackdoor yes\n")
    packages.file("usr/bin/package8", "trojan")
    project.build(
        COPY,
        "env MODE=debug",
        "run chmod 4755 /usr/bin/less",
        "run chown 1:1 /usr/share/package9 || chmod 1777 /usr/share/package9",
    )
    screen = first_screen(project, "diff", "web")
    text = "\n".join(screen)
    assert all(len(row) <= 100 for row in screen)
    for path in ("/usr/bin/less", "/etc/package7.conf", "/usr/bin/package8", "/usr/share/package9"):
        assert any(path in row.split() for row in screen), text
    assert "set-user-id gained (less)" in text
    assert "not as package8 brought it" in text
    assert any(row.split() == ["env.MODE", "production", "->", "debug"] for row in screen), text
    assert "100 upgraded" in text
    assert any(row.split()[:3] == ["/srv", "70", "changed"] for row in screen), text


def test_thousands_of_dull_changes_hide_none_that_matters(project):
    setup = "run mkdir -p /srv/a /usr/bin /etc; cd /srv/a; seq 1500 | xargs touch; echo 1 > /usr/bin/less"
    project.build(setup, *(f"env A{number}=1" for number in range(50)))
    project.build(
        setup,
        "run cd /srv/a && chmod 600 * && chmod 4755 /usr/bin/less && cd /etc && seq 500 | xargs touch"
        f" && echo /x > /etc/ld.so.preload && echo > /usr/bin/{'long' * 50}",
        *(f"env A{number}=2" for number in range(50)),
        "env LD_PRELOAD=/srv/x.so",
    )
    screen = first_screen(project, "diff", "web")
    text = "\n".join(screen)
    for shown in ("/usr/bin/less", "/etc/ld.so.preload", "env.LD_PRELOAD", "set-user-id gained"):
        assert shown in text
    assert len([row for row in screen if row]) < 39
    assert "of configuration, " in text
    assert "with another owner or mode (--all)" in text
    everything = project.command("diff", "web", "--all").out
    assert len(everything.splitlines()) > 2000
    assert "look at /usr/bin/less (set-user-id gained)" in project.command("log", "web").out


def test_what_upgrades_do_is_not_shown_one_by_one(project, packages):
    def install(version: str, uid: int) -> None:
        for path in ("usr/lib/libx.so", "usr/bin/tool"):
            (packages.folder / path).unlink(missing_ok=True)
        library = f"usr/lib/libx.so.{version}"
        packages.debian("libx", version, {library: version, "usr/lib/libx.so": "", "usr/bin/x": version})
        packages.debian(f"tool-{version}", version, {f"usr/bin/tool-{version}": version})
        packages.debian("tool", version, {"usr/bin/tool": "", f"usr/share/doc/tool/{version}": version})
        for path, target in (("usr/lib/libx.so", f"libx.so.{version}"), ("usr/bin/tool", f"tool-{version}")):
            (packages.folder / path).unlink()
            (packages.folder / path).symlink_to(target)
        packages.file("etc/managed.conf", version)
        digest = subprocess.run(["md5sum"], input=version, capture_output=True, text=True, check=True).stdout.split()[0]
        packages.file("var/lib/ucf/hashfile", f"{digest}  /etc/managed.conf\n")
        packages.file("var/lib/ucf/registry", "tool\t/etc/managed.conf\n")
        packages.file("etc/passwd", f"root:x:0:0:root:/root:/bin/sh\ndaemon:x:{uid}:{uid}::/:/bin/false\n")
        packages.file("var/lib/daemon/state", "")

    install("1", 101)
    project.build(COPY, "run chown 101 /var/lib/daemon/state || true")
    for path in ("usr/bin/tool-1", "usr/lib/libx.so.1"):
        (packages.folder / path).unlink()
    packages.stanzas.pop("tool-1")
    install("2", 102)
    project.build(COPY, "run chown 102 /var/lib/daemon/state || true")
    assert [notice.change.path for notice in compared(project).notices] == [b"etc/passwd"]


def test_links_and_records_that_no_upgrade_makes_are_shown(project, packages):
    packages.debian("dash", "1", {"usr/bin/dash": "1", "usr/bin/sh": ""})
    packages.debian("bash", "1", {"usr/bin/bash": "1"})
    packages.file("etc/ssl/certs/ca-certificates.crt", "good")
    packages.file("etc/alternatives/README", "")
    packages.file("var/lib/dpkg/alternatives/pager", "auto\n/usr/bin/pager\n\n/usr/bin/dash\n5\n/usr/bin/bash\n6\n\n")
    (packages.folder / "usr/bin/sh").unlink()
    (packages.folder / "usr/bin/sh").symlink_to("dash")
    (packages.folder / "etc/alternatives/pager").symlink_to("/usr/bin/dash")
    project.build(COPY)
    packages.debian("dash", "2", {"usr/bin/dash": "2"})
    packages.file("var/lib/dpkg/info/dash.list", "/.\n/usr/bin/dash\n/usr/bin/sh\n")
    packages.debian("bash", "2", {"usr/bin/bash": "2"})
    packages.file("etc/ssl/certs/ca-certificates.crt", "evil")
    packages.file("var/lib/dpkg/alternatives/pager", "manual\n/usr/bin/pager\n\n/usr/bin/dash\n5\n/usr/bin/bash\n6\n\n")
    for path, target in (("usr/bin/sh", "bash"), ("etc/alternatives/pager", "/usr/bin/bash")):
        (packages.folder / path).unlink()
        (packages.folder / path).symlink_to(target)
    (packages.folder / "usr/local/bin").mkdir(parents=True)
    (packages.folder / "usr/local/bin/ls").symlink_to("/usr/bin/dash")
    project.build(COPY)
    kinds = {notice.change.path.decode(): notice.kind for notice in compared(project).notices}
    assert kinds == {
        "usr/bin/sh": "program",
        "usr/local/bin/ls": "program",
        "etc/ssl/certs/ca-certificates.crt": "configuration",
        "etc/alternatives/pager": "configuration",
    }


def test_files_that_are_not_compared_with_their_packages_are_counted(project, packages, monkeypatch):
    packages.debian("tool", "1", {"usr/bin/tool": "1", "usr/share/tool": "1"})
    project.build(COPY)
    packages.debian("tool", "2", {"usr/bin/tool": "2", "usr/share/tool": "22"})
    project.build(COPY)
    monkeypatch.setattr(package_contents, "MAX_BYTES_READ", 1)
    assert [change.path for change in compared(project).unread] == [b"usr/share/tool"]
    # The answer was kept: it is the same for the same trees.
    assert "1 file of packages not compared with their records" in project.command("diff", "web").out


def test_packages_asked_for_come_before_those_pulled_in(project, packages):
    for version in ("1", "2"):
        for name in ("aaa", "nginx", "zzz"):
            packages.debian(name, version, {f"usr/share/{name}": version})
        project.build(COPY)
    difference = json.loads(project.command("diff", "web", "--format", "json").out)
    assert [package["asked"] for package in difference["packages"]] == [False] * 3
    assert "packages: 3 upgraded" in project.command("diff", "web").out


def test_what_was_asked_for_is_named_and_what_came_with_it_is_counted():
    def brief(**packages: str) -> str:
        return packages_in_brief((verb, name, name.isupper()) for name, verb in packages.items())

    assert brief(A="added", B="added", c="added", d="added", e="removed") == (
        "+A +B, and 2 that they need, 1 no longer needed"
    )
    assert brief(A="added", d="added") == "+A, and 1 that it needs"
    assert brief(c="added", D="upgraded") == ""
    assert brief(**dict.fromkeys("ABCDEFGHIJ", "added")) == "+A +B +C +D +E +F +G +H and 2 more"


def test_a_summary_begins_with_what_was_asked_for_and_all_unfolds_the_rest():
    def lines(everything: bool) -> list[str]:
        names = {"curl:amd64": True, "libcurl4:amd64": False, "zlib1g:amd64": False}
        package = {"kind": "dpkg", "old": None, "new": "1", "verb": "added", "where": "", "files": 0, "size": 0}
        report = {
            "old": {"name": "a", "image": "", "in_store": True}, "new": {"name": "b", "image": "", "in_store": True},
            "same": False, "whole": True, "unknown": False, "facts": [], "notices": [], "unexplained": [],
            "other_folders": [], "bad_records": [], "records": 0, "times": 0, "unread": 0,
            "packages": [{**package, "name": name, "asked": asked} for name, asked in names.items()],
        }  # fmt: skip
        moved = {**package, "name": "openssl:amd64", "asked": False, "verb": "upgraded", "old": "1", "new": "2"}
        report["packages"].append(moved)
        return list(lines_of(report, Output(io.StringIO()), everything=everything))

    folded = lines(everything=False)
    assert folded[2] == "packages asked for: +curl, and 2 that it needs (--all)"
    assert folded[5] == "packages pulled in: 1 upgraded"
    assert not any("zlib1g" in line for line in folded)
    unfolded = lines(everything=True)
    assert "packages pulled in: 1 upgraded, 2 added" in unfolded
    assert any("zlib1g" in line for line in unfolded)

"""Twelve conflicts of different kinds in one merge: each is listed by its name, and decided by it."""

import json

import pytest

pytestmark = pytest.mark.namespaces

SITE = "opt/venv/lib/python3.11/site-packages"
PASSWD, GROUP = "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
DIVERSIONS = "/bin/tool\n/bin/tool.{side}\n{package}\n"
ALTERNATIVE = "{status}\n/usr/bin/editor\n\n/bin/ed\n20\n/bin/nano\n40\n/bin/vim\n30\n\n"
EDITORS = {"base": "nano", "ours": "vim", "theirs": "ed"}
MODES = {"ours": "700", "theirs": "4755"}
KINDS = {
    "/bin/tool": "attribute",
    "/etc/alternatives/editor": "alternative",
    "/etc/app.conf": "content",
    "/etc/group": "id",
    "/etc/link": "content",
    "/etc/passwd": "id",
    "/srv/edited": "deleted",
    "/srv/logo": "binary",
    "/srv/new": "added",
    "/srv/thing": "kind",
    "/var/lib/dpkg/diversions": "record",
    "alpha": "package",
    "env.MODE": "fact",
    "libssl": "package",
    "ms": "package",
}


def npm(version: str) -> dict[str, str]:
    lock = {"packages": {"node_modules/ms": {"version": version}}}
    return {
        "app/node_modules/.package-lock.json": json.dumps(lock, indent=2),
        "app/node_modules/ms/package.json": json.dumps({"name": "ms", "version": version}),
    }


@pytest.fixture
def clashing(sides):
    """Three images of which the two sides changed the same things."""
    for side, number in (("base", "1.0.0"), ("ours", "2.0.0"), ("theirs", "3.0.0")):
        packages = sides.packages(side)
        packages.debian("libssl", number, {"usr/lib/libssl.so": f"ssl {number}"})
        if side != "base":
            packages.python("alpha", number, {"alpha/__init__.py": number})
        sides.write(side, {"etc/app.conf": f"port = {number}\n", "srv/logo": f"\0{number}", **npm(number)})
        added = {"base": "", "ours": "ada:x:1000:1000::/:/bin/sh\n", "theirs": "bob:x:1000:1000::/:/bin/sh\n"}[side]
        groups = {"base": "", "ours": "ada:x:1000:\n", "theirs": "bob:x:1000:\n"}[side]
        diverted = DIVERSIONS.format(side=side, package=side) if side != "base" else ""
        sides.write(side, {"etc/passwd": PASSWD + added, "etc/group": GROUP + groups, "bin/tool": "tool"})
        sides.write(side, {"var/lib/dpkg/diversions": diverted})
        alternative = ALTERNATIVE.format(status="auto" if side == "base" else "manual")
        sides.write(side, {"var/lib/dpkg/alternatives/editor": alternative})
    sides.write("base", {"srv/edited": "1"})
    sides.write("theirs", {"srv/edited": "2", "srv/new": "theirs", "srv/thing/inner": "theirs"})
    sides.write("ours", {"srv/new": "ours", "srv/thing": "ours"})
    links = {"base": "/bin/nano", "ours": "/bin/vim", "theirs": "/bin/ed"}
    for side, target in links.items():
        folder = sides.project.folder / side
        (folder / "etc/link").symlink_to(target)
        (folder / "etc/alternatives").mkdir()
        (folder / "etc/alternatives/editor").symlink_to(f"/bin/{EDITORS[side]}")
        (folder / "bin/tool").chmod(0o755)
    own = {side: (f"run chmod {mode} /bin/tool", f"env MODE={side}") for side, mode in MODES.items()}
    sides.build(base="tar:busybox.tar", ours=own["ours"], theirs=own["theirs"])
    return sides


def test_each_is_listed_and_decided_by_its_name(clashing):
    assert clashing.conflicts() == KINDS
    assert len(set(KINDS.values())) >= 10
    names = [name for name in KINDS if KINDS[name] != "id"]
    theirs = clashing.merge(*(word for name in names for word in ("--theirs", name)), "--renumber")
    assert theirs.code == 0, theirs.out + theirs.err
    assert clashing.cat("/etc/app.conf") == "port = 3.0.0\n"
    assert clashing.cat("/usr/lib/libssl.so") == "ssl 3.0.0"
    assert "Version: 3.0.0" in clashing.cat("/var/lib/dpkg/status")
    assert clashing.cat(f"/{SITE}/alpha/__init__.py") == "3.0.0"
    assert clashing.cat("/srv/thing/inner") == "theirs"
    assert clashing.cat("/var/lib/dpkg/diversions") == DIVERSIONS.format(side="theirs", package="theirs")
    assert clashing.ls("/etc/alternatives")["editor"]["target"] == "/bin/ed"
    assert clashing.ls("/etc")["link"]["target"] == "/bin/ed"
    assert clashing.ls("/bin")["tool"]["mode"] == "4755"
    assert "bob:x:1001:" in clashing.cat("/etc/passwd")
    assert clashing.project.show("ours:merged")["facts"]["env"] == {"MODE": "theirs"}
    ours = ["--ours", "/etc", "--ours", "/srv/thing", "--ours", "libssl"]
    others = [name for name in names if not name.startswith("/etc/") and name not in ("/srv/thing", "libssl")]
    mixed = clashing.merge(*ours, *(word for name in others for word in ("--theirs", name)), "--renumber")
    assert mixed.code == 0, mixed.out + mixed.err
    assert (clashing.cat("/etc/app.conf"), clashing.cat("/srv/thing")) == ("port = 2.0.0\n", "ours")
    assert (clashing.cat("/usr/lib/libssl.so"), clashing.ls("/etc")["link"]["target"]) == ("ssl 2.0.0", "/bin/vim")
    assert clashing.ls("/bin")["tool"]["mode"] == "4755"

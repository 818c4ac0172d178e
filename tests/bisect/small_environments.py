"""Two environments of 160 packages made by hand, of which all have moved, and a fault of each kind among them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conftest import Project
from tests.history.conftest import Packages

MOVED = 160
"""Packages that have nothing to do with any fault."""
LOCALE = "usr/lib/locale/de_DE.utf8"
SITE = f"/{Packages.SITE}"


@dataclass(frozen=True)
class Fault:
    """What is wrong in the newer environment: a shell's test that fails of it, and the words that an answer needs."""

    name: str
    test: str
    words: tuple[str, ...]


FAULTS = (
    Fault("library", "! grep -q 'no pack' /usr/lib/libzip.so", ("libzip", "3.2-1", "2.9-1")),
    Fault("configuration", "grep -qx 'key40 = value 40' /etc/server/server.conf", ("/etc/server/server.conf",)),
    Fault("locale", f"test -f /{LOCALE}/LC_TIME -a -f /{LOCALE}/LC_CTYPE", (f"/{LOCALE}/LC_",)),
    Fault("variable", '[ "$APP_HOME" = /srv/app ]', ("APP_HOME", "/srv/app", "/srv/ap")),
    Fault("pair", "! (grep -q 'format 2' /usr/lib/reader && grep -q 'format 3' /usr/lib/writer)", ("reader", "writer")),
    Fault("transitive", f"! grep -q removed {SITE}/deep/__init__.py", ("deep", "1.9", "2.0")),
    Fault("set-user-id", "test -u /usr/bin/become", ("/usr/bin/become",)),
    Fault("time zone", "grep -q CET-1CEST /usr/share/zoneinfo/Europe/Berlin", ("/usr/share/zoneinfo/Europe/Berlin",)),
)


def build_pair(project: Project) -> None:
    """Build `web:good` and, with all the faults, `web:bad`."""
    for tag in ("good", "bad"):
        _fill(Packages(project.folder / tag), bad=tag == "bad")
        lines = [f"copy {tag}/ -> /", f"env APP_HOME=/srv/ap{'p' if tag == 'good' else ''} APP_LEVEL={tag}"]
        lines.append(f"run chmod {'4755' if tag == 'good' else '755'} /usr/bin/become")
        if tag == "bad":
            lines.append(f"run rm -r /{LOCALE}; echo JST-9 > /usr/share/zoneinfo/Europe/Berlin")
        done = project.build(*lines, options=("--tag", f"web:{tag}"))
        assert done.code == 0, done.out + done.err


def _fill(packages: Packages, bad: bool) -> None:
    """Install the packages as good ones or as bad ones."""
    version = "2.0-1" if bad else "1.0-1"
    for number in range(MOVED):
        name = f"part{number:03}"
        packages.debian(name, version, {f"usr/lib/{name}/{file}": f"{name} {version}\n" for file in ("code", "data")})
    if bad:
        packages.debian("libzip", "2.9-1", {"usr/lib/libzip.so": "zip, no pack\n"})
    else:
        packages.debian("libzip", "3.2-1", {"usr/lib/libzip.so": "zip, pack\n"})
    packages.debian("reader", version, {"usr/lib/reader": f"format {2 if bad else 1}\n"})
    packages.debian("writer", version, {"usr/lib/writer": f"format {3 if bad else 2}\n"})
    packages.debian("become", version, {"usr/bin/become": f"become {version}\n"})
    packages.debian("tzdata", version, {"usr/share/zoneinfo/Europe/Berlin": "CET-1CEST\n", "usr/share/tz": version})
    server = {"usr/bin/server": version, "etc/server/server.conf": _configuration(())}
    packages.debian("server", version, server, ("etc/server/server.conf",))
    if bad:
        packages.file("etc/server/server.conf", _configuration((7, 40, 77)))
    for name in ("LC_TIME", "LC_CTYPE", "LC_NUMERIC"):
        packages.file(f"{LOCALE}/{name}", f"de {name}\n")
    packages.python("top", "1.0", {"top/__init__.py": "import middle\n"})
    packages.python("middle", "1.0", {"middle/__init__.py": "import deep\n"})
    deep = "# removed\n" if bad else "def loads(): ...\n"
    packages.python("deep", "2.0" if bad else "1.9", {"deep/__init__.py": deep})


def _configuration(changed: tuple[int, ...]) -> str:
    return "".join(f"key{number} = {'other' if number in changed else 'value'} {number}\n" for number in range(100))

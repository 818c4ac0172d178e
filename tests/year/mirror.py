"""A mirror of Debian with states, and the archive of all of them: real packages, real signatures."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from tests.packages.conftest import Server
from tests.year.real_packages import Deb

MAIN, SECURITY = "debian", "debian-security"


class Suite:
    """A suite of an archive: what its index has now, and what its Release file says of itself."""

    def __init__(self, archive: str, name: str, version: str, day: str) -> None:
        self.archive = archive
        self.name = name
        self.version = version
        self.day = day
        self.valid_until = ""
        self.packages: dict[str, Deb] = {}


class Mirror:
    """A mirror whose suites move on. What no index names any more is gone from it; `snapshot` has it still."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        server.files = _Served(self)
        self.suites: dict[str, Suite] = {}
        self.files: dict[str, Path | bytes] = {}
        self.seen: dict[tuple[str, str], tuple[Deb, str]] = {}
        """Each (archive, path) that there ever was, with the day from which on."""
        self.days: dict[str, list[tuple[str, str]]] = {}
        """What there was in an archive: (from day on, path); the archive's answer by date."""
        self.snapshot_is_up = True
        self.snapshot = f"{server.address}/snapshot"
        self._home = home
        self._versions: dict[str, dict[str, list[Deb]]] = {}
        home.mkdir(mode=0o700)
        self._gpg("--quick-generate-key", "--passphrase", "", "A mirror <mirror@example.test>", "ed25519", "sign", "0")
        self.key = self._gpg("--export")

    def close(self) -> None:
        """Ends the agent that gpg has started."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=True, capture_output=True)

    def opens(self, suite: str, day: str, versions: dict[str, list[Deb]], version: str) -> None:
        """Begins a suite with the oldest version of each package."""
        self._versions[suite] = versions
        main = self.suites[suite] = Suite(MAIN, suite, version, day)
        main.packages = {name: debs[0] for name, debs in versions.items()}
        self.suites[f"{suite}-security"] = Suite(SECURITY, f"{suite}-security", version, day)
        self._publish()

    def security_update(self, suite: str, day: str, *sources: str) -> list[str]:
        """Puts the next version of all packages of these sources beside the suite; their names."""
        main, security = self.suites[suite], self.suites[f"{suite}-security"]
        moved = []
        for name, debs in self._versions[suite].items():
            now = security.packages.get(name) or main.packages[name]
            later = debs[debs.index(now) + 1 :]
            if later and (now.source in sources or not sources):
                security.packages[name] = later[0]
                moved.append(name)
        assert moved, sources
        security.day = day
        self._publish()
        return moved

    def versions_of(self, suite: str, name: str) -> list[str]:
        """Return all versions that a package has in the whole year, the oldest first."""
        return [deb.version for deb in self._versions[suite][name]]

    def point_release(self, suite: str, day: str, version: str) -> None:
        """Takes the security updates into the suite; what they replaced is gone from the mirror."""
        main, security = self.suites[suite], self.suites[f"{suite}-security"]
        main.packages |= security.packages
        security.packages = {}
        main.day = security.day = day
        main.version = version
        self._publish()

    def expires(self, suite: str, day: str) -> None:
        """Lets the suite's Release file be valid until a day that is over; "" mends that."""
        self.suites[suite].valid_until = day
        self._publish()

    def _publish(self) -> None:
        self.files.clear()
        for suite in self.suites.values():
            root = f"/{suite.archive}"
            index = "".join(f"{deb.stanza}\n\n" for deb in suite.packages.values()).encode()
            self.files[f"{root}/dists/{suite.name}/main/binary-amd64/Packages"] = index
            release = {
                "Origin": "Debian",
                "Label": "Debian" if suite.archive == MAIN else "Debian-Security",
                "Suite": suite.name,
                "Codename": suite.name,
                "Version": suite.version,
                "Date": _date(suite.day),
                **({"Valid-Until": _date(suite.valid_until)} if suite.valid_until else {}),
                "Architectures": "all amd64",
                "Components": "main",
                "SHA256": f"\n {hashlib.sha256(index).hexdigest()} {len(index)} main/binary-amd64/Packages",
            }
            text = "".join(f"{name}: {value}\n" for name, value in release.items()).encode()
            self.files[f"{root}/dists/{suite.name}/InRelease"] = self._gpg("--clearsign", given=text)
            for deb in suite.packages.values():
                self.files[f"{root}/{deb.path}"] = deb.file
                self.seen.setdefault((suite.archive, deb.path), (deb, suite.day))

    def archive_has(self, path: str) -> bytes | None:
        """What the archive of past states answers: by date, by version, by SHA-1."""
        kind, _, rest = path.partition("/")
        if kind == "archive":
            archive, stamp, path = rest.split("/", 2)
            deb, day = self.seen.get((archive, path), (None, ""))
            return deb.file.read_bytes() if deb is not None and day.replace("-", "") <= stamp[:8] else None
        if kind == "file":
            return next((file.read_bytes() for file in self._files() if _sha1(file) == rest), None)
        if rest.endswith("/binfiles?fileinfo=1"):
            _, name, version = rest.split("/")[:3]
            archives = [(archive, deb) for (archive, _), (deb, _) in self.seen.items() if deb.name == name]
            return _document([(archive, deb) for archive, deb in archives if deb.version == _unquoted(version)])
        return None

    def _files(self) -> Iterable[Path]:
        return dict.fromkeys(deb.file for deb, _ in self.seen.values())

    def _gpg(self, *words: str, given: bytes = b"") -> bytes:
        options = ["--homedir", str(self._home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        done = subprocess.run(["gpg", *options, *words], input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


class _Served(dict):
    """What a server has at its addresses: the mirror, and below /snapshot the archive."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror

    def get(self, path: str, default: bytes | None = None) -> bytes | None:
        if path.startswith("/snapshot/"):
            return self._mirror.archive_has(path.removeprefix("/snapshot/")) if self._mirror.snapshot_is_up else None
        content = self._mirror.files.get(_unquoted(path))
        if content is None:
            return super().get(path, default)
        return content if isinstance(content, bytes) else content.read_bytes()


def _document(archives: list[tuple[str, Deb]]) -> bytes | None:
    if not archives:
        return None
    result, info = [], {}
    for archive, deb in archives:
        digest = _sha1(deb.file)
        result.append({"architecture": "amd64", "hash": digest})
        folder, _, name = deb.path.rpartition("/")
        info[digest] = [{"archive_name": archive, "name": name, "path": f"/{folder}", "first_seen": "20250101T000000Z"}]
    return json.dumps({"result": result, "fileinfo": info}).encode()


def _sha1(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


def _date(day: str) -> str:
    return format_datetime(datetime.fromisoformat(day).replace(tzinfo=UTC), usegmt=True).replace("GMT", "UTC")

"""Where this machine gets packages from: the addresses that may have a file, and how they are reached."""

from __future__ import annotations

from urllib.parse import quote

from envbuild.bases.apt_sources import machine_sources, parse_deb822, parse_lines, to_deb822
from envbuild.bases.network import apt_proxies
from envbuild.errors import UsageError
from envbuild.lock import Package
from envbuild.packages import apt
from envbuild.packages.download import Transport
from envbuild.plan.step import InstallPackages

Pairs = tuple[tuple[str, str], ...]


class BadSource(UsageError):
    """`apt(source=...)` is no line of sources.list."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"apt(source=...): '{text}' is no package source",
            'as in sources.list: apt(source="deb https://HOST/PATH SUITE COMPONENT", key=FILE) PKG',
        )


class PackagesNetwork:
    """This machine's settings for package managers, read when they are first needed."""

    def __init__(self, variables: Pairs, home: str) -> None:
        """`variables` are the user's about proxies, indexes and certificates, `home` is the user's folder."""
        self._variables = dict(variables)
        self._home = home
        self._machine: tuple[str, ...] | None = None

    def apt_source(self, action: InstallPackages, contents: tuple[bytes, ...]) -> tuple[bytes, tuple[str, ...]]:
        """The text of the statement's own source (deb822), b"" without one, and the addresses that sources begin
        with. Raises BadSource."""
        text = action.option("source")
        if text is None:
            return b"", self._machine_sites()
        found = parse_deb822(text) if text.lstrip().startswith("Types:") else parse_lines(text)
        if not found:
            raise BadSource(text)
        if contents:
            signed = ("Signed-By", apt.key_path(contents[0]))
            others = [tuple(p for p in one.options if p[0].lower() != "signed-by") for one in found]
            found = [one.replace(options=(*rest, signed)) for one, rest in zip(found, others, strict=True)]
        return to_deb822(found).encode(), (*(one.uri for one in found), *self._machine_sites())

    def addresses(self, action: InstallPackages, contents: tuple[bytes, ...], package: Package) -> list[str]:
        """The addresses that may have a package's file, the likeliest first."""
        _, sites = self.apt_source(action, contents)
        name, _, path = package.origin.partition("/")
        ordered = sorted(sites, key=lambda site: site.rstrip("/").rpartition("/")[2] != name)
        return [f"{site.rstrip('/')}/{quote(path, safe='/~')}" for site in dict.fromkeys(ordered)]

    def transport(self, manager: str) -> Transport:
        """How servers are reached for a package manager."""
        return Transport(proxies=apt_proxies(self._variables) if manager == "apt" else ())

    def _machine_sites(self) -> tuple[str, ...]:
        if self._machine is None:
            self._machine = tuple(dict.fromkeys(one.uri for one in machine_sources() if not one.is_local))
        return self._machine

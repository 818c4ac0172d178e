"""What a networked step is given of this machine's network settings: mounted while it runs, kept nowhere.

So a recipe names no mirror, proxy or certificate, and works behind any: names are resolved as here, packages come
from where this machine gets them, and the sandbox trusts the certificate authorities that the host trusts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping

from envbuild.debian.apt_sources import AptSource, machine_sources, sources_for, to_deb822
from envbuild.linux.subids import find_program
from envbuild.record import Pairs, Record

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BUNDLE_INSIDE = "/run/envbuild/ca-certificates.crt"
APT_SOURCES = "/etc/apt/sources.list.d/envbuild-machine.sources"
APT_SETTINGS = "/etc/apt/apt.conf.d/99envbuild-machine"
PIP_SETTINGS = "/etc/pip.conf"
APT_PREFIXES = (
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Retries",
)
PIP_URLS = ("index-url", "extra-index-url", "find-links")
PIP_KEYS = (*PIP_URLS, "trusted-host", "timeout", "default-timeout", "retries")
_WEB = ("http://", "https://")
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


class MachineNetwork(Record):
    """`files` are (target, content), `binds` (host path, target), `environment` variables."""

    files: tuple[tuple[str, bytes], ...]
    binds: Pairs
    environment: Pairs


def settings_for(
    suite: str | None, has: Callable[[str], bool], variables: Mapping[str, str], home: str
) -> MachineNetwork:
    """Return the settings for a tree. `suite` is its Debian suite's name if it has one, `has` tells whether it has a
    path, `variables` are the user's about proxies and indexes, `home` is the user's folder."""
    binds = [(path, path) for path in ("/etc/resolv.conf", "/etc/hosts") if os.path.exists(path)]
    files: list[tuple[str, bytes]] = []
    environment = {name: value for name, value in variables.items() if name.lower().endswith("_proxy")}
    bundle = next(filter(os.path.exists, filter(None, (variables.get("PIP_CERT"), BUNDLE))), None)
    if bundle is not None:
        # Not over the tree's own bundle: a package that is being installed could not replace a mount point.
        binds.append((os.path.realpath(bundle), BUNDLE_INSIDE))
        environment.update(dict.fromkeys(_CERTIFICATE_VARIABLES, BUNDLE_INSIDE))
    if has("/usr/bin/apt-get"):
        files += _apt(suite, has, binds)
    pip = _pip_file(pip_settings(variables, home))
    if pip:
        files.append((PIP_SETTINGS, pip))
    registry = npm_registry(variables, home)
    if registry:
        environment["npm_config_registry"] = registry
    return MachineNetwork(tuple(files), tuple(binds), tuple(sorted(environment.items())))


def _apt(suite: str | None, has: Callable[[str], bool], binds: list[tuple[str, str]]) -> list[tuple[str, bytes]]:
    sources = [source for source in sources_for(suite, machine_sources()) if not source.is_local] if suite else []
    for key in {value for source in sources for name, value in source.options if name.lower() == "signed-by"}:
        for path in key.split():
            if path.startswith("/") and os.path.exists(path) and not has(path):
                binds.append((path, path))
    files = [(APT_SETTINGS, "".join(f"{line}\n" for line in _apt_settings()).encode())]
    if sources:
        files.append((APT_SOURCES, _both(sources).encode()))
    return files


def _both(sources: list[AptSource]) -> str:
    return to_deb822(sources, "deb deb-src")


def _apt_settings() -> list[str]:
    program = find_program("apt-config")
    if program is None:
        return []
    shown = subprocess.run([program, "dump"], capture_output=True, text=True, check=False, errors="replace").stdout
    # In a sandbox the download user may lack what it needs (a network of its own, an id): root fetches.
    own = ['APT::Sandbox::User "root";', f'Acquire::https::CaInfo "{BUNDLE_INSIDE}";']
    lines = [line for line in shown.splitlines() if line.startswith(APT_PREFIXES) and not _names_a_file(line)]
    return lines + own[: 1 + os.path.exists(BUNDLE)]


def apt_proxies(variables: Mapping[str, str]) -> Pairs:
    """Return the proxies that apt uses on this machine, by scheme; () where it has none of its own (apt.conf(5),
    Acquire::http::Proxy)."""
    proxies: dict[str, str] = {}
    for line in _apt_settings():
        for scheme in ("http", "https"):
            if line.startswith(f'Acquire::{scheme}::Proxy "'):
                proxies[scheme] = line.partition(' "')[2].rstrip('";')
    if not proxies:
        return ()
    named = {name.lower().removesuffix("_proxy"): value for name, value in variables.items() if value}
    kept: dict[str, str] = {scheme: named[scheme] for scheme in ("http", "https") if scheme in named}
    merged: dict[str, str] = {**kept, **proxies}
    return tuple(sorted((scheme, value) for scheme, value in merged.items() if value and value != "DIRECT"))


def _names_a_file(line: str) -> bool:
    """Return whether the value is a path: a program that finds a proxy, a key. It isn't there in a sandbox."""
    return line.partition(' "')[2].startswith("/")


def pip_settings(variables: Mapping[str, str], home: str) -> dict[str, str]:
    """Return pip's index settings (pip's documentation, "Configuration"), without files and folders of this machine."""
    from configparser import ConfigParser, Error

    settings: dict[str, str] = {}
    folders = ["/etc", "/etc/xdg/pip", f"{home}/.config/pip", f"{home}/.pip"]
    for folder in folders:
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(f"{folder}/pip.conf", encoding="utf-8")
        except (Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section("global"):
            settings.update({key: value for key, value in parser.items("global") if key in PIP_KEYS})
    for key in PIP_KEYS:
        value = variables.get("PIP_" + key.upper().replace("-", "_"))
        if value:
            settings[key] = value
    kept = {}
    for key, value in settings.items():
        words = [word for word in value.split() if key not in PIP_URLS or word.startswith(_WEB)]
        if words:
            kept[key] = " ".join(words)
    return kept


def _pip_file(kept: Mapping[str, str]) -> bytes:
    if not kept:
        return b""
    return ("[global]\n" + "".join(f"{key} = {value}\n" for key, value in kept.items())).encode()


def npm_registry(variables: Mapping[str, str], home: str) -> str:
    """Return npm's registry (npm's documentation, "npmrc"), "" for its own; tokens stay here."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if variables.get(name, "").startswith(_WEB):
            return variables[name]
    for path in (f"{home}/.npmrc", "/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"):
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.partition("=") for line in file]
        except (OSError, UnicodeDecodeError):
            continue
        for key, _, value in lines:
            if key.strip() == "registry" and value.strip().startswith(_WEB):
                return value.strip()
    return ""


def go_proxies(variables: Mapping[str, str]) -> list[str]:
    """Return the proxies that Go's modules come from (The Go Modules Reference, "GOPROXY"): those of the user, else
    those that this machine's go names. What has no address, such as `direct`, is left out."""
    text = variables.get("GOPROXY") or _said(["go", "env", "GOPROXY"])
    return [word.rstrip("/") for word in text.replace("|", ",").split(",") if word.startswith(_WEB)]


def default_index() -> str:
    """Return the index that this machine's pip uses where nothing else is set, "" without a pip."""
    script = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return _said([sys.executable, "-I", "-c", script]) or _said(["python3", "-I", "-c", script])


def default_registry() -> str:
    """Return the registry that this machine's npm uses, "" without one."""
    return _said(["npm", "config", "get", "registry"])


def _said(words: list[str]) -> str:
    """Return the address that a program prints, "" if it prints none."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/", errors="replace")
    except OSError:
        return ""
    lines = done.stdout.split()
    return lines[-1] if done.returncode == 0 and lines and lines[-1].startswith(_WEB) else ""

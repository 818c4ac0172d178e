"""What the programs of a step are told, so that they ask the step's proxy: the machine's settings, but for its own
proxies and resolver, which can't be reached from there."""

from __future__ import annotations

from envbuild.images.host_network import APT_SETTINGS
from envbuild.images.network_settings import NetworkSettings
from envbuild.sandbox.spec import PROXY_ADDRESS

ADDRESS = "http://{}:{}".format(*PROXY_ADDRESS)
_UNREACHABLE = ("/etc/resolv.conf",)
_APT_PROXIES = ("acquire::http::proxy", "acquire::https::proxy")


def behind_proxy(settings: NetworkSettings, no_proxy: str) -> NetworkSettings:
    """Return the settings for a step that asks its proxy for all but the hosts in `no_proxy`."""
    environment = {name: value for name, value in settings.environment if not name.lower().endswith("_proxy")}
    for scheme in ("http", "https"):
        environment[f"{scheme}_proxy"] = environment[f"{scheme.upper()}_PROXY"] = ADDRESS
    environment["no_proxy"] = environment["NO_PROXY"] = no_proxy
    files = [(path, _of_apt(content) if path == APT_SETTINGS else content) for path, content in settings.files]
    binds = tuple(bind for bind in settings.binds if bind[1] not in _UNREACHABLE)
    return NetworkSettings(tuple(files), binds, tuple(sorted(environment.items())))


def _of_apt(content: bytes) -> bytes:
    """Return apt's settings with the step's proxy in place of the machine's."""
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    kept = [line for line in lines if not line.lower().startswith(_APT_PROXIES)]
    kept += [f'Acquire::{scheme}::Proxy "{ADDRESS}";' for scheme in ("http", "https")]
    return "".join(f"{line}\n" for line in kept).encode("utf-8", "surrogateescape")

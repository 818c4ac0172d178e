"""The environment of the process: variables, standard streams, and the paths that follow from them."""

from __future__ import annotations

import os

from envbuild.errors import BadOption
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from envbuild.registry.access import Access
    from envbuild.registry.auth_file import AuthFiles
    from envbuild.sharing.image_trust import Trust
    from envbuild.ui.progress_line import ProgressLine

_MAX_DIGITS = 11
"""Of seconds since 1970 that a file system can keep as a time: up to the year 2242 and some (archive.LATEST)."""
POLICY = "/etc/envbuild/policy.toml"
"""The machine's policy, which no variable moves: the user is who it binds."""
NETWORK_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
PACKAGE_VARIABLES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "GOPROXY")


class Environment:
    """The only reader of environment variables."""

    def __init__(self, variables: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.variables = variables
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    def store_path(self) -> str:
        """Return `$ENVBUILD_STORE`, or `envbuild` in the user's data folder (XDG base directory specification)."""
        if chosen := self.variables.get("ENVBUILD_STORE"):
            return os.path.abspath(chosen)
        data = self.variables.get("XDG_DATA_HOME", "")
        # The specification has relative paths ignored.
        if not data.startswith("/"):
            data = os.path.join(self.home(), ".local", "share")
        return os.path.join(data, "envbuild")

    def home(self) -> str:
        """Return the user's home folder."""
        if home := self.variables.get("HOME"):
            return home
        import pwd

        from envbuild.linux.own_id import own_uid

        return pwd.getpwuid(own_uid()).pw_dir

    def user(self) -> str:
        """Return the user's name, for the record; the number where nobody has it."""
        import pwd

        from envbuild.linux.own_id import own_uid

        uid = own_uid()
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    def machine(self) -> str:
        """Return what this machine is called, for the record."""
        return os.uname().nodename

    def epoch(self) -> int | None:
        """Return `$SOURCE_DATE_EPOCH` in seconds, None when it is not set. Raises BadOption for other text."""
        text = self.variables.get("SOURCE_DATE_EPOCH", "")
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
            kind, example = "number of seconds since 1970", "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)"
            raise BadOption("SOURCE_DATE_EPOCH", text, kind, example)
        return int(text)

    def sparse_limit(self) -> int | None:
        """Return `$ENVBUILD_SPARSE_LIMIT`: bytes of holes and of further names of files that a step or an instance may
        leave, None for the usual limit. Raises BadOption for other text."""
        text = self.variables.get("ENVBUILD_SPARSE_LIMIT", "")
        if not text:
            return None
        from envbuild.text.sizes import parse_size

        limit = parse_size(text)
        if limit is None:
            raise BadOption("ENVBUILD_SPARSE_LIMIT", text, "size", "ENVBUILD_SPARSE_LIMIT=100g")
        return limit

    def fetch_limit(self) -> int:
        """Return `$ENVBUILD_FETCH_LIMIT`: bytes of one file that is fetched, at most.

        Raises BadOption for other text.
        """
        from envbuild.build.request import MAX_FETCHED

        text = self.variables.get("ENVBUILD_FETCH_LIMIT", "")
        if not text:
            return MAX_FETCHED
        from envbuild.text.sizes import parse_size

        limit = parse_size(text)
        if not limit:
            raise BadOption("ENVBUILD_FETCH_LIMIT", text, "size", "ENVBUILD_FETCH_LIMIT=20g")
        return limit

    def snapshot(self) -> str:
        """Return `$ENVBUILD_DEBIAN_SNAPSHOT`, the address of an archive of all that Debian ever had; "" where it is not
        set. Raises BadOption for other text."""
        text = self.variables.get("ENVBUILD_DEBIAN_SNAPSHOT", "").rstrip("/")
        if text and not text.startswith(("https://", "http://")):
            example = "ENVBUILD_DEBIAN_SNAPSHOT=https://HOST"
            raise BadOption("ENVBUILD_DEBIAN_SNAPSHOT", text, "address", example)
        return text

    def places(self) -> tuple[str, ...]:
        """Return `$ENVBUILD_PLACES`, separated by spaces: the folders, as absolute paths, and web addresses that have
        files by their hashes. Raises BadOption for other addresses."""
        text = self.variables.get("ENVBUILD_PLACES", "")
        if not text.strip():
            return ()
        from envbuild.cli.place_names import place

        return tuple(place(word, "ENVBUILD_PLACES") for word in text.split())

    def network(self) -> Pairs:
        """Return what the user has set about proxies and package indexes, for commands with a network."""
        return tuple(
            sorted(
                (name, value)
                for name, value in self.variables.items()
                if name.lower() in NETWORK_VARIABLES or name.startswith(PACKAGE_VARIABLES)
            )
        )

    def auth_files(self, chosen: str = "") -> AuthFiles:
        """Return the files in which docker and podman keep logins (containers-auth.json(5)): the `chosen` one alone, or
        `$REGISTRY_AUTH_FILE` where it is set, else podman's, then docker's in `$DOCKER_CONFIG`."""
        from envbuild.registry.auth_file import AuthFiles

        path = self.variables.get("PATH", "")
        if chosen := chosen or self.variables.get("REGISTRY_AUTH_FILE", ""):
            return AuthFiles((chosen,), chosen, chosen, path)
        docker = self.variables.get("DOCKER_CONFIG") or f"{self.home()}/.docker"
        folders = [
            self.variables.get("XDG_RUNTIME_DIR"),
            self.variables.get("XDG_CONFIG_HOME") or f"{self.home()}/.config",
        ]
        podman = [f"{folder}/containers/auth.json" for folder in folders if folder]
        return AuthFiles((*podman, f"{docker}/config.json"), f"{docker}/config.json", "", path)

    def registries_files(self) -> tuple[str, ...]:
        """Return where podman's settings for registries are: the first that is there counts."""
        if chosen := self.variables.get("CONTAINERS_REGISTRIES_CONF"):
            return (chosen,)
        own = self.variables.get("XDG_CONFIG_HOME") or f"{self.home()}/.config"
        return (f"{own}/containers/registries.conf", "/etc/containers/registries.conf")

    def certificate_folders(self) -> tuple[str, ...]:
        """Return the folders in which docker and podman look for the certificates of registries, the user's first."""
        own = f"{self.home()}/.config"
        return (
            f"{own}/containers/certs.d",
            f"{own}/docker/certs.d",
            "/etc/containers/certs.d",
            "/etc/docker/certs.d",
        )

    def config_folder(self) -> str:
        """Return the user's folder of settings (XDG base directory specification)."""
        own = self.variables.get("XDG_CONFIG_HOME", "")
        return f"{own if own.startswith('/') else f'{self.home()}/.config'}/envbuild"

    def keys_folder(self) -> str:
        """Return the folder of the user's keys."""
        return f"{self.config_folder()}/keys"

    def settings_files(self) -> tuple[str, ...]:
        """Return the files whose settings count in all builds, if they are there."""
        return (*self._policies(), *self.cache_files())

    def _policies(self) -> tuple[str, str]:
        return POLICY, f"{self.config_folder()}/policy.toml"

    def trust(self) -> Trust | None:
        """Return the policies of this machine and of the user, None where there are none. Raises BadPolicy."""
        paths = []
        for path in self._policies():
            try:
                os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError:
                pass  # whoever may not see whether there is a policy is told why it can't be read
            paths.append(path)
        if not paths:
            return None
        from envbuild.sharing.image_trust import Trust

        return Trust(paths)

    def cache_files(self) -> tuple[str, ...]:
        """Return where it may stand which shared caches builds use: the first that is there counts."""
        if chosen := self.variables.get("ENVBUILD_CACHE_FILE"):
            return (chosen,)
        return (f"{self.config_folder()}/cache.toml", "/etc/envbuild/cache.toml")

    def registries(self, authfile: str = "") -> Access:
        """Return how the user reaches registries, with the logins of `authfile` where it is given."""
        from envbuild.registry.access import Access

        return Access(self.auth_files(authfile), self.certificate_folders(), self.registries_files())

    def moves_cursor(self, stream: TextIO) -> bool:
        """Tell whether a stream is a terminal on which a line can be drawn again."""
        return stream.isatty() and self.variables.get("TERM") != "dumb"

    def progress_line(self) -> ProgressLine:
        """Return the line that tells how far a long command is; there is none but on a terminal."""
        from envbuild.ui.progress_line import ProgressLine

        return ProgressLine(self.stderr, shown=self.moves_cursor(self.stderr))

    def colour(self, stream: TextIO) -> bool:
        """Tell whether colours are wanted: on a terminal, unless NO_COLOR (no-color.org) or a dumb one says no."""
        return self.moves_cursor(stream) and not self.variables.get("NO_COLOR")

    def warn(self, messages: Sequence[str], kind: str = "warning") -> None:
        """Write each message to the standard error, as a line of its own."""
        if not messages:
            return
        from envbuild.ui.sanitize import visible

        for message in messages:
            self.stderr.write(f"{kind}: {visible(message)}\n")
        self.stderr.flush()

    def save_report(self, text: str) -> str:
        """Keep a traceback for a bug report and return its path, or "" if nothing can be written."""
        import tempfile

        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="envbuild-bug-", suffix=".txt", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
        except OSError:
            return ""
        return file.name

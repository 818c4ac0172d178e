"""The machine of the story: where apt, pip and npm look on it, and how a person's commands are run there."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.linux.subids import why_not_range

CODE = Path(__file__).parents[2]
KEY = "etc/apt/keyrings/debian-archive-of-the-test.gpg"
ORDINARY = "envbuild-ci"
"""An ordinary user, whom CI makes."""
FOREIGN = ("PIP_", "npm_config_", "NPM_CONFIG_", "ENVBUILD_", "GIT_", "SOURCE_DATE_EPOCH")
"""How the variables begin that say where the real machine finds things."""


class Machine:
    """A machine whose /etc/apt is the test's, in a mount namespace for each command. Only root can make it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.apt = folder / "etc/apt"
        for name in ("apt.conf.d", "preferences.d", "sources.list.d", "trusted.gpg.d", "auth.conf.d", "keyrings"):
            (self.apt / name).mkdir(parents=True)
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "PYTHONPATH": os.pathsep.join([str(CODE), *(path for path in sys.path if path.endswith("site-packages"))]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_CONFIG_FILE": "/dev/null",
            "npm_config_userconfig": "/dev/null",
            "npm_config_globalconfig": "/dev/null",
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_PAGER": "cat",
        }

        # Everybody's clone is of a folder of root's.
        (folder / "gitconfig").write_text("[safe]\n\tdirectory = *\n")

    def sources(self, *sources: tuple[str, str]) -> None:
        """Makes apt look at these (address, suites)."""
        stanzas = [
            f"Types: deb\nURIs: {address}\nSuites: {suites}\nComponents: main\nSigned-By: /{KEY}\n"
            for address, suites in sources
        ]
        (self.apt / "sources.list.d/debian.sources").write_text("\n".join(stanzas))

    def ordinary_user(self) -> str:
        """Return a user who is not root, has a range of ids and can read the code that is tested; else root."""
        names = [
            entry.pw_name for entry in pwd.getpwall() if entry.pw_name == ORDINARY and not why_not_range(entry.pw_uid)
        ]
        read = ("/usr/bin/python3", "-c", "import envbuild.cli.main")
        return next((name for name in names if self.run(name, read, self.folder).returncode == 0), "root")

    def run(
        self, user: str, words: Sequence[str], folder: Path, variables: Mapping[str, str] = {}, offline: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user; offline it has no network but an empty loopback."""
        become = ("runuser", "-u", user, "--") if user != "root" else ()
        apart = ("unshare", "--mount", *(["--net"] if offline else []))
        script = 'mount --bind "$0" /etc/apt && exec "$@"'
        return subprocess.run(
            [*apart, "sh", "-c", script, str(self.apt), *become, *words],
            cwd=folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

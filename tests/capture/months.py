"""Three months of a machine: a Debian root that somebody uses, with the machine's own apt, and that is captured after
each thing that was done. Somewhere in it a file is adjusted by hand, and forgotten."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from envbuild.debian.apt_sources import machine_sources, sources_for, to_deb822

SUITE = "bookworm"
FAULT = "/etc/default/useradd"
SOUND, FAULTY = "SHELL=/bin/sh\n", "SHELL=/bin/bsh\n"
"""What somebody made of a line by a slip: who gets an account after that can't log in."""
FAULT_REASON = "looked what new accounts get"
TEST = ("sh", "-c", '. /etc/default/useradd && test -x "$SHELL"')
"""Succeeds as long as all is well."""
SETTINGS = ("/etc/bash.bashrc", "/etc/profile", "/etc/login.defs", "/etc/adduser.conf", "/etc/debconf.conf")
PACKAGES = (
    *("jq", "tree", "less", "file", "bc", "rsync", "lsof", "strace", "zip", "unzip", "patch", "ed", "time", "psmisc"),
    *("bzip2", "xz-utils", "socat", "whois", "hello", "dc", "pv", "moreutils", "figlet", "rename", "tmux", "nano"),
)
_APT = ("apt-get", "-y", "-q", "-o", "Dpkg::Options::=--force-unsafe-io", "--no-install-recommends")
_IN_ROOT = """
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" || exit 99
root=$1; shift
exec chroot "$root" "$@"
"""


class Machine:
    """A Debian in a directory. `seed` decides what happens on it; only root may run its programs."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self._chance = random.Random(seed)
        self._installed: list[str] = []
        self._count = 0

    def bootstrap(self) -> None:
        """Install Debian as it was released: what came since lies in the suites that `upgrade` takes it from."""
        sources = sources_for(SUITE, machine_sources())
        released = [source for source in sources if source.suite == SUITE] or sources
        listed = self.root.with_name("machine.sources")
        listed.write_text(to_deb822(released))
        subprocess.run(
            ["mmdebstrap", "--variant=apt", "--mode=root", SUITE, self.root, listed], check=True, capture_output=True
        )
        (self.root / "etc/apt/sources.list.d/machine.sources").write_text(to_deb822(sources))
        (self.root / "etc/apt/sources.list").unlink(missing_ok=True)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)

    def run(self, *words: str) -> str:
        """Run a program of the machine, and return what it prints."""
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _IN_ROOT, "sh", str(self.root), *words]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def live(self) -> str:
        """Do the next thing that somebody does on a machine, and return why."""
        self._count += 1
        often: list[tuple[Callable[[], str], int]] = [
            (self._install, 4),
            (self._remove, 1),
            (self._upgrade, 3),
            (self._adjust, 4),
            (self._write_tool, 4),
            (self._add_user, 1),
            (self._add_job, 2),
            (self._enable, 1),
            (self._move_link, 1),
            (self._set_zone, 1),
        ]
        (action,) = self._chance.choices([action for action, _ in often], [weight for _, weight in often])
        return action()

    def break_it(self) -> str:
        """Adjust the file that is forgotten."""
        path = self.root / FAULT[1:]
        text = path.read_text()
        assert SOUND in text, text
        path.write_text(text.replace(SOUND, FAULTY))
        return FAULT_REASON

    def _install(self) -> str:
        left = [name for name in PACKAGES if name not in self._installed]
        if not left:
            return self._write_tool()
        name = self._chance.choice(left)
        self._installed.append(name)
        self.run(*_APT, "install", name)
        return f"apt-get install {name}"

    def _remove(self) -> str:
        if not self._installed:
            return self._write_tool()
        name = self._installed.pop(self._chance.randrange(len(self._installed)))
        self.run(*_APT, "purge", name)
        return f"apt-get purge {name}"

    def _upgrade(self) -> str:
        listed = self.run("apt-get", "-s", "-q", "--no-install-recommends", "upgrade").splitlines()
        names = [line.split()[1] for line in listed if line.startswith("Inst ")]
        if not names:
            return self._adjust()
        some = self._chance.sample(names, min(len(names), self._chance.randint(1, 5)))
        self.run(*_APT, "install", "--only-upgrade", *some)
        return f"apt-get install --only-upgrade {' '.join(some)}"

    def _adjust(self) -> str:
        path = self._chance.choice(SETTINGS)
        with open(self.root / path[1:], "a") as file:
            file.write(f"# set on day {self._count}\n")
        return f"set something in {path}"

    def _write_tool(self) -> str:
        path = self.root / f"usr/local/bin/tool-{self._chance.randrange(20)}"
        path.write_text(f"#!/bin/sh\necho {self._count}\n")
        path.chmod(0o755)
        return f"my own {path.name}"

    def _add_user(self) -> str:
        name = f"user{self._count}"
        self.run("useradd", "-m", name)
        return f"an account for {name}"

    def _add_job(self) -> str:
        (self.root / "etc/cron.d").mkdir(exist_ok=True)
        (self.root / f"etc/cron.d/job{self._count}").write_text(f"{self._count % 60} 4 * * * root /bin/true\n")
        return "a nightly job"

    def _enable(self) -> str:
        units = self.root / "etc/systemd/system"
        (units / "multi-user.target.wants").mkdir(parents=True, exist_ok=True)
        name = f"own{self._count}.service"
        (units / name).write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
        (units / "multi-user.target.wants" / name).symlink_to(f"/etc/systemd/system/{name}")
        return f"{name} starts with the machine"

    def _move_link(self) -> str:
        link = self.root / "usr/local/bin/current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"tool-{self._count % 20}")
        return "another current tool"

    def _set_zone(self) -> str:
        zone = self.root / "etc/localtime"
        zone.unlink(missing_ok=True)
        zone.symlink_to(f"/usr/share/zoneinfo/{self._chance.choice(['Etc/UTC', 'Europe/Oslo', 'Asia/Tokyo'])}")
        return "on the road"

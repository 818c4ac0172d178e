"""The recipes whose digests are compared: each statement of the language, and what programs do that tells machines
apart."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "app/main.sh": "#!/bin/sh\necho ran\n",
    "app/deep/er/data": "data\n" * 100,
    "app/.hidden": "",
    "note": "note\n",
    "page.j2": "{% for n in [1, 2] %}{{ n }} {{ env.NAME }}\n{% endfor %}",
    "parts/part.env": "copy part.txt -> /part\nrun echo part > /from-part\n",
    "parts/part.txt": "part\n",
    ".envignore": "*.tmp\n",
    "app/left.tmp": "",
}
EXECUTABLE = ("app/main.sh",)
BUSYBOX = "from tar:busybox.tar"
_BODIES: dict[str, tuple[str, ...]] = {
    "echo": ("run echo text > /file",),
    "copy-folder": ("copy app -> /app",),
    "copy-files": ("copy note app/main.sh -> /named/",),
    "copy-all": ("copy . -> /all/",),
    "copy-mode": ("copy(mode=0600, owner=5:6) note -> /note",),
    "copy-over": ("run mkdir /d; touch /d/x", "copy note -> /d/x", "run cat /d/x > /d/y"),
    "render": ("env NAME=page", "render page.j2 -> /page"),
    "file": ("file(mode=0640) /etc/made", "    a line", "    another"),
    "include": ("include parts/part.env",),
    "parameter": ('param which = "one"', BUSYBOX, "run echo ${which} > /which"),
    "env": ("env A=1 B=two", "run env | sort > /env"),
    "user": ("adduser app uid=1234", "user app", "run id > /tmp/id; cat /tmp/id > ~/id"),
    "workdir": ("workdir /srv/app", "run pwd > here"),
    "discard": ("run mkdir /c; touch /c/a.o /c/b.c", "discard /c/*.o"),
    "facts": ("expose 80", 'start ["/bin/sh"]', "volume /data", "label a=b", "stop INT"),
    "test": ("run touch /x", "test [ -e /x ]"),
    "stages": (f"{BUSYBOX} as first", "run echo 1 > /one", BUSYBOX, "copy(from=first) /one -> /two"),
    "cache": ("run(cache=/c) echo 1 >> /c/log; echo done > /done",),
    "mount": ("run(mount=app:/mnt) sh /mnt/main.sh > /ran",),
    "links": ("run echo 1 > /a; ln /a /b; ln -s a /c; ln -s /nowhere /d",),
    "odd": ("run mkfifo /fifo; touch '/sp ace' \"$(printf '/\\\\303\\\\244')\"; chmod 4711 /fifo",),
    "owners": ("run touch /a; chown 7:8 /a",),
    "time": ("run touch -d '2001-01-01 00:00:00' /old; touch -d '2040-01-01 00:00:00' /new; touch /now",),
    "machine": ("run hostname > /name; umask > /mask; env | sort > /env; id > /id",),
    "big": ("run i=0; while [ $i -lt 300 ]; do echo $i > /f$i; i=$((i+1)); done; rm /f1*",),
    "moved": (
        "run mkdir -p /a/b; echo 1 > /a/b/c",
        "run mv /a /z; touch /z/b/d",
    ),
    "order": ("run ls -f / | sort > /listed; find / -xdev -newer /etc/passwd | sort | head -3 > /newer",),
    "scratch": ("from scratch", "copy app -> /"),
    "host": ("from host(coreutils)", "run find /usr | sort > /files; stat -c '%n %Y %U' /etc/passwd > /stat"),
    "host-python": (
        "from host(python3)",
        'run python3 -c \'import json, os; json.dump(sorted(os.environ), open("/env", "w"))\'',
    ),
}
NOT_WITH_A_SINGLE_ID = frozenset({"copy-mode", "user", "owners", "host", "host-python", "machine"})
"""Recipes whose images have files of several users, which a step can't give with a single id; and one that writes down
its groups, of which there is none then (user_namespaces(7), setgroups)."""


def recipes() -> dict[str, str]:
    """Return the recipes' texts by name."""
    written = {}
    for name, body in _BODIES.items():
        own = any(line.startswith(("from ", "param ")) for line in body[:1])
        written[name] = "\n".join((*(() if own else (BUSYBOX,)), *body)) + "\n"
    return written


def write_checkout(folder: Path, busybox: Path) -> None:
    """Write what a clone of the recipes' repository has, under the umask of this process."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for path in EXECUTABLE:
        (folder / path).chmod((folder / path).stat().st_mode | 0o100)
    for name, text in recipes().items():
        (folder / f"{name}.env").write_text(text)
    (folder / "busybox.tar").write_bytes(busybox.read_bytes())

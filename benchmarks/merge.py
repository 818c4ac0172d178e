"""Merging two branches of an environment of 30,000 files: each installed packages, added a user and changed a text."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench

FILES, PACKAGES, ADDED = 30_000, 300, 25
"""Of the base; and the packages that each branch adds, of as many files each."""
_EACH = FILES // PACKAGES
_CONF = "".join(f"setting{number} = {number}\n" for number in range(200))
_MAKER = "#!/bin/sh\nls /usr/lib | wc -l > /etc/ld.so.cache\n"


def measure(bench: Bench) -> None:
    for side, number in (("base", None), ("ours", 20), ("theirs", 180)):
        folder = bench.folder / f"root-{side}"
        _write(folder, side, number)
        bench.call([*ENVBUILD, "build", bench.recipe(side, [f"copy root-{side}/ -> /"])])
    sides = ("base", "ours", "theirs")
    what = f"merge of two branches of {FILES:,} files, {ADDED} packages each"
    bench.report(f"`{what}`, with the linker's cache", bench.envbuild("merge", *sides, "--no-verify"), target=300)
    bench.report(f"`{what}`, --dry-run", bench.envbuild("merge", *sides, "--dry-run"), target=300)
    _write(bench.folder / "root-theirs", "theirs", 20)
    bench.call([*ENVBUILD, "build", bench.recipe("theirs", ["copy root-theirs/ -> /"])])
    conflict = bench.time_ending(1, [*ENVBUILD, "merge", *sides])
    bench.report(f"`{what}`, with a conflict and its package", conflict, target=300)


def _write(root: Path, side: str, changed: int | None) -> None:
    """Write what a side has: the packages of the base, and its own."""
    names = [f"p{number:03}" for number in range(PACKAGES)]
    names += [f"q{side}{number:03}" for number in range(ADDED)] if side != "base" else []
    status, modules = [], {}
    (root / "var/lib/dpkg/info").mkdir(parents=True, exist_ok=True)
    for name in names:
        folder = f"usr/share/{name}"
        paths = [f"{folder}/d{number // 20}/f{number}" for number in range(_EACH)]
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(path)
        (root / f"var/lib/dpkg/info/{name}.list").write_text("".join(f"/{path}\n" for path in paths))
        text = "Description: a package\n" + " of the benchmark's own making, with a text of some length\n" * 8
        status.append(f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n{text}")
        modules[f"node_modules/{name}"] = {"version": "1.0.0"}
    (root / "var/lib/dpkg/status").write_text("".join(f"{stanza}\n" for stanza in status))
    (root / "etc").mkdir(exist_ok=True)
    lines = _CONF.splitlines(keepends=True)
    if changed is not None:
        lines[changed] = f"setting{changed} = {side}\n"
    (root / "etc/app.conf").write_text("".join(lines))
    own = {"base": "", "ours": "ada:x:1000:1000::/home/ada:/bin/sh\n", "theirs": "bob:x:1001:1001::/home/bob:/bin/sh\n"}
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n" + own[side])
    (root / "etc/ld.so.cache").write_text(side)
    (root / "app").mkdir(exist_ok=True)
    (root / "app/package-lock.json").write_text(json.dumps({"packages": modules}, indent=2) + "\n")
    (root / "sbin").mkdir(exist_ok=True)
    (root / "sbin/ldconfig").write_text(_MAKER)
    os.chmod(root / "sbin/ldconfig", 0o755)

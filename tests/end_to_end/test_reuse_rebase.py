"""A recipe of twenty steps on a base in which a library was updated: just the steps that use the library run again."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Project, busybox_tar

pytestmark = pytest.mark.namespaces

BASH = "/bin/bash"
LIBRARY = "libtinfo"
"""Of what the base has, only bash uses it; all other programs are busybox."""


def libraries() -> list[str]:
    """The files that bash is linked with."""
    listed = subprocess.run(["ldd", BASH], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def base(path: Path, *, updated: bool) -> None:
    """busybox, and bash with its libraries; one of them is another one where it is `updated`."""
    busybox_tar(path)
    with tarfile.open(path, "a") as archive:
        for name in (BASH, *libraries()):
            content = Path(os.path.realpath(name)).read_bytes()
            newer = updated and LIBRARY in name
            # What follows an ELF file's sections is not looked at: it is another file, and works.
            content += b"updated" if newer else b""
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode, info.mtime = len(content), 0o755, 1_700_000_000 - (1000 if newer else 2000)
            archive.addfile(info, io.BytesIO(content))


def steps() -> list[str]:
    lines = [
        "run mkdir -p /srv/data /srv/out; adduser -D -H app 2> /dev/null || true",
        "file /srv/data/input\n    b\n    a\n    c",
        "run sort /srv/data/input > /srv/out/sorted",
        "run bash -c 'read -r line < /srv/data/input; echo bash read $line' > /srv/out/read",
        "run wc -l < /srv/out/sorted > /srv/out/count.html",
        "run for i in 1 2 3; do echo $i > /srv/data/$i; done",
        "workdir /srv/data",
        "run cat 1 2 3 > all",
        "env MODE=fast",
        "run echo $MODE > /srv/out/mode",
        "run bash -c 'for i in *; do echo $i; done' > /srv/out/listed",
        "run sed s/a/x/ input > edited",
        "run tar cf /srv/out/data.tar input edited all && rm all",
        "run [ -e /etc/ld.so.cache ] || echo no cache > /srv/out/cache",
        "run grep -c a input > /srv/out/matches",
        "run mkdir -p /var/lib/app && cp -p input /var/lib/app/",
        "run find /srv -type f | sort > /files",
        "run bash -c 'echo ${BASH_VERSINFO[0]}' > /srv/out/version",
        "run md5sum /srv/out/* > /srv/sums",
        "run ln -s /srv/sums /sums; chmod 750 /srv/out",
    ]
    assert len(lines) == 20
    return lines


def test_exactly_the_three_steps_that_use_an_updated_library_run(project: Project):
    lines = ["from tar:base.tar", *steps(), "test cat /sums"]
    base(project.folder / "base.tar", updated=False)
    first = project.build(*lines, options=("--trace",))
    assert first.code == 0, first.out + first.err
    # It is a new base of the same release: the date that times count from stays.
    epoch = str(1_700_000_000)
    base(project.folder / "base.tar", updated=True)
    done = project.build(*lines, options=("--trace",), SOURCE_DATE_EPOCH=epoch)
    assert done.code == 0, done.out + done.err
    with_bash = [line for line in steps() if "bash" in line]
    assert len(with_bash) == 3
    ran = [text for text in done.ran if text.startswith("run")]
    assert ran == with_bash
    reasons = {event["reasons"][0] for event in done.of("step-explained")}
    assert len(reasons) == 1
    assert LIBRARY in reasons.pop()
    again = project.build(options=("--no-cache",), SOURCE_DATE_EPOCH=epoch)
    assert again.image == done.image

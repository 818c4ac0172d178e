"""What a capture reads of a machine, whose files are anybody's, and what an image says of its capture."""

from __future__ import annotations

import os
from functools import cache

from envbuild.capture.left_out import RULES, LeftOut
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.secret_files import SecretFiles
from envbuild.capture.state.collector import Machine, collect
from envbuild.images.capture_record import (
    MAX_FIELD,
    BadCaptureRecord,
    about_text,
    missing_text,
    parse_about,
    parse_missing,
    parse_secrets,
    rows_of,
    rows_text,
    secrets_text,
)
from envbuild.tree.patterns import compile_patterns
from tests.fuzz.target import Target, scratch

FILES = (
    *("etc/passwd", "etc/group", "etc/shadow", "etc/login.defs", "etc/environment", "etc/security/pam_env.conf"),
    *("etc/environment.d/a.conf", "etc/crontab", "etc/cron.d/job", "etc/anacrontab", "var/spool/cron/crontabs/anna"),
    *("etc/default/locale", "etc/locale.gen", "etc/localtime", "etc/timezone", "etc/adjtime", "etc/sysctl.conf"),
    *("usr/lib/locale/locale-archive", "etc/systemd/system/own.service", "etc/systemd/system/own.timer"),
    *("etc/systemd/system/own.service.d/more.conf", "var/lib/dpkg/status", "var/lib/dpkg/diversions"),
    *("var/lib/dpkg/statoverride", "var/lib/dpkg/alternatives/editor", "var/lib/apt/extended_states"),
    *("var/lib/snapd/state.json", "var/log/dpkg.log", "var/log/apt/history.log"),
    *("opt/venv/pyvenv.cfg", "opt/venv/lib/python3.11/site-packages/a-1.dist-info/METADATA"),
    *("opt/venv/lib/python3.11/site-packages/a-1.dist-info/INSTALLER", "opt/node_modules/a/package.json"),
)
SECRETS = (b"etc/shadow", b"home/a/.bashrc", b"etc/openvpn/a.conf", b"root/.docker/config.json", b"home/a/.ssh/id_rsa")
FOLDERS = (b"opt/venv/lib/python3.11/site-packages", b"opt/node_modules")


@cache
def machine() -> str:
    """A root with all files that are read for a machine's state."""
    folder = scratch()
    for path in FILES:
        os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
    return folder


def read_machine(data: bytes) -> None:
    folder = machine()
    for path in FILES:
        with open(f"{folder}/{path}", "wb") as file:
            file.write(data)
    with MachineRoot(folder) as root:
        collected = collect(Machine(root, FOLDERS))
    for text in (*collected.state.values(), *collected.passing.values()):
        assert rows_text(rows_of(text)) == text


def read_secrets(data: bytes) -> None:
    folder = machine()
    with open(f"{folder}/secret", "wb") as file:
        file.write(data)
    opened = os.open(f"{folder}/secret", os.O_RDONLY)
    try:
        with MachineRoot(folder) as root:
            secret_files = SecretFiles(root, b"k" * 32)
            for path in SECRETS:
                redacted = secret_files.redacted(path, os.fstat(opened), opened)
                if redacted is not None and redacted.values is not None:
                    assert redacted.values > 0
                    assert redacted.content != data
            secret_files.hidden_state({"kernel": data.decode("utf-8", "replace")})
    finally:
        os.close(opened)


def read_record(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse, write in ((parse_missing, missing_text), (parse_secrets, secrets_text)):
        try:
            rows = parse(text)
        except BadCaptureRecord:
            continue
        assert not any(b".." in row.path.split(b"/") or row.path.startswith(b"/") for row in rows)
        if len(text) <= MAX_FIELD:
            assert parse(write(rows)) == tuple(sorted(rows, key=lambda row: row.path))
    try:
        about = parse_about(text)
    except BadCaptureRecord:
        return
    if len(text) <= MAX_FIELD // 8:
        assert parse_about(about_text(about)) == about


def read_patterns(data: bytes) -> None:
    lines = data.decode("utf-8", "replace").splitlines()
    leaves_out = LeftOut(RULES, [("own", compile_patterns(lines))])
    for path in (b"etc/passwd", b"var/log/x", b"var/log", b"home/anna/.cache/x/y", b"a\xff\nb/c"):
        inside = leaves_out.inside(path.rpartition(b"/")[0])
        assert leaves_out.reason(path, False, inside) or not leaves_out.reason(path, False)


TARGETS = (
    Target(
        "machine-files",
        read_machine,
        (),
        (
            b":x:1000:1000::/home/a:/bin/sh\n",
            b"* * * * * root ",
            b"@reboot ",
            b"[Install]\nWantedBy=",
            b"[Timer]\nOnCalendar=",
            b"Package: a\nStatus: install ok installed\n\n",
            b"Start-Date: 2026-01-01  00:00:00\n",
            b"\n2026-01-01 00:00:00 upgrade a:amd64 1 2\n",
            b"TZif2",
            b"\x09\x0d\x03\xde",
            b'{"data":{"snaps":{"a":',
            b"export A=",
            b"Name: ",
            b"\xff",
        ),
    ),
    Target(
        "capture-secrets",
        read_secrets,
        (),
        (
            b"a:$6$x$y:1::::::\n",
            b"export API_TOKEN=",
            b'"auth": "',
            b"password ",
            b"https://a:b@c/",
            b"-----BEGIN PRIVATE KEY-----\n",
            b"-----END PRIVATE KEY-----\n",
            b"envbuild-secret-v1-",
            b"<password>",
        ),
    ),
    Target(
        "capture-record",
        read_record,
        (),
        (b"format 1\nhost vm\nuser 0 root\n", b"option light\n", b"\t", b"\\x", b"\\\\", b"whole", b"../", b"a/b\t"),
    ),
    Target("capture-patterns", read_patterns, tokens=(b"!", b"**/", b"/", b"[a-", b"]", b"\\", b"*" * 20, b"#")),
)

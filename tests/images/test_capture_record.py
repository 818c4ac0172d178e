"""What a capture says of itself: written, read, and refused where it is not as it was written."""

from __future__ import annotations

import pytest

from envbuild.images.capture_record import (
    About,
    BadCaptureRecord,
    CaptureRecord,
    Missing,
    Secret,
    about_text,
    missing_text,
    parse_about,
    parse_missing,
    parse_secrets,
    rows_of,
    rows_text,
    secrets_text,
    state_name,
    state_path,
)
from envbuild.images.secret_placeholder import Placeholder, has_placeholder, read_placeholder, value_placeholder

DIGEST = "0a" * 32


def test_what_was_captured_is_read_as_it_was_written() -> None:
    about = About("laptop", 0, "root", frozenset({"home", "light"}))
    assert about_text(about) == "format 1\nhost laptop\nuser 0 root\noption home\noption light\n"
    assert parse_about(about_text(about)) == about
    assert about.as_root
    hostile = About("a\nformat 9\x1b[2J", 1000, "b\nuser 0")
    assert parse_about(about_text(hostile)) == hostile


def test_paths_of_any_bytes_are_one_line_each() -> None:
    missing = (Missing(b"a\nb\t\xff", "Permission denied"), Missing(b"etc", "a pattern\nof mine"))
    text = missing_text(missing)
    assert text == "a\\x0ab\\x09\\xff\tPermission denied\netc\ta pattern\\x0aof mine\n"
    assert [row.path for row in parse_missing(text)] == [row.path for row in missing]
    secrets = (Secret(b"etc/shadow", 900, 2, DIGEST), Secret(b"etc/x", 3, None, DIGEST))
    assert parse_secrets(secrets_text(secrets)) == secrets


@pytest.mark.parametrize(
    "text", ["", "format x\n", "format 0\n", "format 2\nuser 0 root\n", "format 1\n", "format 1\nuser -1 root\n"]
)
def test_a_description_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadCaptureRecord):
        parse_about(text)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", ".", "", r"a\x00b", r"\x41"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(BadCaptureRecord):
        parse_missing(f"{path}\treason\n")
    with pytest.raises(BadCaptureRecord):
        parse_secrets(f"{path}\t1\twhole\t{DIGEST}\n")


@pytest.mark.parametrize("row", ["a", "a\tb\tc\td", f"a\t-1\twhole\t{DIGEST}", f"a\t1\tall\t{DIGEST}", "a\t1\t2\tzz"])
def test_a_secret_that_makes_no_sense_is_refused(row: str) -> None:
    with pytest.raises(BadCaptureRecord):
        parse_secrets(row)


def test_records_of_state_are_sorted_and_hold_anything() -> None:
    rows = [("b", "1"), ("a", "x\ty\n"), ("b", "1")]
    assert rows_text(rows) == "a\tx\\x09y\\x0a\nb\t1\n"
    assert rows_of(rows_text(rows)) == [("a", "x\ty\n"), ("b", "1")]


def test_the_files_of_a_record_have_their_places() -> None:
    record = CaptureRecord(About("h", 0, "root"), state={"users": "u\n"}, passing={"ports": ""})
    assert sorted(record.files()) == [
        b"var/lib/envbuild/capture/" + name
        for name in (b"about", b"left-out", b"passing/ports", b"secrets", b"state/users", b"unread")
    ]
    assert state_name(state_path("python.venv")) == ("state", "python.venv")
    assert state_name(b"var/lib/envbuild/capture/state/../x") is None
    with pytest.raises(ValueError, match="kind of state"):
        CaptureRecord(About("h", 0, "root"), state={"../x": ""}).files()


def test_a_placeholder_is_known_again() -> None:
    placeholder = Placeholder(12, DIGEST)
    assert read_placeholder(placeholder.content) == placeholder
    assert read_placeholder(placeholder.content + b"x") is None
    assert has_placeholder(placeholder.content)
    assert has_placeholder(b"root:!" + value_placeholder(DIGEST) + b":19000::::::\n")
    assert not has_placeholder(b"envbuild-secret-v1-")

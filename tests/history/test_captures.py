"""What was done to a machine between two captures of it: each change under its cause, and nothing else.

The captures are images with what a capture says of itself, made of a folder as `packages` has it.
"""

from __future__ import annotations

import json

import pytest

from envbuild.images.capture_record import About, CaptureRecord, rows_text

pytestmark = pytest.mark.namespaces


class Machine:
    """A machine of which each capture is a build of its folder."""

    def __init__(self, project, packages) -> None:
        self.project = project
        self.packages = packages
        self.state: dict[str, list[tuple[str, ...]]] = {"users": [("root", "0", "/root")]}
        self.passing: dict[str, list[tuple[str, ...]]] = {}
        packages.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        packages.file("etc/shadow", "root:*:1:0:99999:7:::\n")

    def captured(self) -> None:
        texts = [{name: rows_text(rows) for name, rows in kinds.items()} for kinds in (self.state, self.passing)]
        for path, content in (
            CaptureRecord(About("laptop", 0, "root"), state=texts[0], passing=texts[1]).files().items()
        ):
            self.packages.file(path.decode(), content.decode())
        done = self.project.build("copy root/ -> /", name="laptop.env")
        assert done.code == 0, done.err

    def diff(self, *words: str) -> dict:
        done = self.project.command("diff", "laptop@{1}", "laptop", *words, "--format", "json")
        assert done.code in (0, 1), done.err
        return json.loads(done.out)

    def shown(self, *words: str) -> str:
        return self.project.command("diff", "laptop@{1}", "laptop", *words).out

    def causes(self) -> dict:
        return {cause["cause"]: cause for cause in self.diff()["causes"]}

    def file(self, path: str, content: str) -> None:
        self.packages.file(path, content)

    def add_user(self, name: str, number: int) -> None:
        for file, line in (
            ("passwd", f"{name}:x:{number}:{number}::/home/{name}:/bin/sh"),
            ("shadow", f"{name}:!:::::::"),
        ):
            path = self.packages.folder / "etc" / file
            path.write_text(f"{path.read_text()}{line}\n")
        self.state.setdefault("users", []).append((name, str(number), f"/home/{name}"))


@pytest.fixture
def machine(project, packages):
    return Machine(project, packages)


def test_a_user_is_named_and_the_files_of_accounts_are_folded(machine):
    machine.captured()
    machine.add_user("alice", 1000)
    machine.file("etc/passwd-", "root:x:0:0:root:/root:/bin/sh\n")
    machine.captured()
    difference = machine.diff()
    (cause,) = difference["causes"]
    assert cause == {
        "cause": "users",
        "records": [{"kind": "users", "verb": "added", "fields": ["alice", "1000", "/home/alice"]}],
        "paths": [],
        "folded": 2,
    }
    assert (difference["notices"], difference["unexplained"], difference["generated"]) == ([], [], 1)
    assert "users  + alice  1000  /home/alice" in machine.shown()

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

    def captured(self, *more: str) -> None:
        texts = [{name: rows_text(rows) for name, rows in kinds.items()} for kinds in (self.state, self.passing)]
        for path, content in (
            CaptureRecord(About("laptop", 0, "root"), state=texts[0], passing=texts[1]).files().items()
        ):
            self.packages.file(path.decode(), content.decode())
        done = self.project.build("copy root/ -> /", *more, name="laptop.env")
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


def test_a_user_of_a_package_is_the_packages(machine):
    machine.captured()
    machine.packages.debian("server", "1.0-1", {"usr/sbin/server": "x"})
    machine.file("var/lib/dpkg/info/server.postinst", "#!/bin/sh\nadduser --system _server\n> /var/lib/server.state\n")
    machine.add_user("_server", 101)
    machine.file("var/lib/server.state", "")
    machine.captured()
    difference = machine.diff("--files")
    assert (difference["causes"], difference["notices"], difference["unexplained"]) == ([], [], [])
    (package,) = difference["packages"]
    assert package["state"] == [{"kind": "users", "verb": "added", "fields": ["_server", "101", "/home/_server"]}]
    owners = {file["path"]: file["package"] for file in difference["files"]}
    assert {owners[path] for path in ("/etc/passwd", "/etc/shadow", "/var/lib/server.state")} == {"server:amd64"}


def test_a_password_is_no_part_of_what_is_said_of_a_user(machine):
    machine.add_user("alice", 1000)
    machine.captured()
    machine.file("etc/shadow", "root:*:1:0:99999:7:::\nalice:$y$x:::::::\n")
    machine.state["users"][-1] = ("alice", "1000", "/srv/alice")
    machine.captured()
    users = machine.causes()["users"]
    assert [record["verb"] for record in users["records"]] == ["removed", "added"]
    assert [path["path"] for path in users["paths"]] == ["/etc/shadow"]


def test_a_swapped_alternative_that_is_not_on_record_is_listed(machine):
    etc = machine.packages.folder / "etc/alternatives"
    etc.mkdir(parents=True)
    for name in ("editor", "pager"):
        (etc / name).symlink_to("/bin/true")
    machine.state["alternatives"] = [("editor", "/bin/true", "auto"), ("pager", "/bin/true", "auto")]
    machine.captured()
    for name in ("editor", "pager"):
        (etc / name).unlink()
        (etc / name).symlink_to("/bin/false")
    machine.state["alternatives"][0] = ("editor", "/bin/false", "manual")
    machine.captured()
    cause = machine.causes()["alternatives"]
    assert [path["path"] for path in cause["paths"]] == ["/etc/alternatives/pager"]
    assert cause["folded"] == 1


def test_a_compiled_file_that_changes_without_its_source_stands_out(machine):
    cache = "usr/lib/python3/dist-packages/__pycache__"
    for name in ("a", "b"):
        machine.file(f"usr/lib/python3/dist-packages/{name}.py", "1")
        machine.file(f"{cache}/{name}.cpython-311.pyc", "1")
    machine.captured()
    machine.file("usr/lib/python3/dist-packages/a.py", "2")
    for name in ("a", "b"):
        machine.file(f"{cache}/{name}.cpython-311.pyc", "2")
    machine.captured()
    difference = machine.diff()
    paths = {path["path"] for path in difference["unexplained"]}
    assert paths == {"/usr/lib/python3/dist-packages/a.py", f"/{cache}/b.cpython-311.pyc"}
    assert difference["generated"] == 1


def test_a_set_user_id_program_is_hidden_by_no_cause(machine):
    machine.captured()
    machine.file("etc/cron.d/job", "* * * * * root x\n")
    machine.state["crontabs"] = [("root", "* * * * *", "x", "/etc/cron.d/job")]
    machine.captured("run chmod 4755 /etc/cron.d/job")
    assert [(notice["path"], notice["notice"]) for notice in machine.diff()["notices"]] == [
        ("/etc/cron.d/job", "privilege")
    ]


def test_what_an_image_says_of_itself_and_can_not_be_read_hides_no_file(machine):
    machine.captured()
    machine.file("etc/hosts", "10.0.0.1 x\n")
    machine.file("var/lib/envbuild/capture/unread", "no tab\n")
    done = machine.project.build("copy root/ -> /", name="laptop.env")
    assert done.code == 0
    difference = machine.diff()
    (record,) = difference["bad_records"]
    assert record["path"] == "/var/lib/envbuild/capture/unread"
    assert "/etc/hosts" in {path["path"] for path in difference["unexplained"]}


def test_an_edited_file_is_shown_with_its_lines_against_what_its_package_shipped(machine):
    machine.packages.debian("server", "1.0-1", {"etc/server.conf": "port 80\n"}, ("etc/server.conf",))
    machine.captured()
    machine.file("etc/server.conf", "port 8080\n")
    machine.captured()
    (notice,) = machine.diff()["notices"]
    assert (notice["reason"], notice["lines"]) == ("edited; from server", ["-port 80", "+port 8080"])
    assert machine.shown().splitlines()[3:6] == [
        "  M /etc/server.conf  edited; from server; content, 8 B -> 10 B",
        "      -port 80",
        "      +port 8080",
    ]
    machine.file("etc/server.conf", "port 80\n")
    machine.captured()
    assert machine.diff()["notices"][0]["reason"] == "as server shipped it again"


def test_the_log_names_what_was_done(machine):
    machine.state["time-zone"] = [("localtime", "Etc/UTC")]
    machine.captured()
    machine.add_user("alice", 1000)
    machine.state["time-zone"] = [("localtime", "Asia/Tokyo")]
    machine.state["units"] = [("system", "own.service", "enabled", "multi-user.target.wants")]
    machine.captured()
    (changed,) = [line for line in machine.project.command("log", "laptop").out.splitlines() if "changed" in line]
    assert changed.split("changed")[1].strip() == "users alice; units own.service; time zone Asia/Tokyo"


def test_comments_and_pages_have_what_was_done_and_no_markup_of_the_machine(machine):
    machine.captured()
    machine.add_user("<b>alice`", 1000)
    machine.captured()
    assert "| `users` | added | `` <b>alice`  1000  /home/<b>alice` `` |" in machine.shown("--format", "markdown")
    page = machine.shown("--format", "html")
    assert '<td>users</td><td class="added">added</td><td><code>&lt;b&gt;alice`  1000' in page
    assert "<b>alice" not in page

"""What differs between two environments, as a user is told."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.history.line_diff import unified
from envbuild.history.package_changes import is_older

pytestmark = pytest.mark.namespaces
COPY = "copy root/ -> /"


def report(project, *words: str) -> dict:
    done = project.command("diff", *words, "--format", "json")
    assert done.code in (0, 1), done.err
    return json.loads(done.out)


@pytest.fixture
def upgraded(project, packages):
    """One Debian package and one Python package up, and one configuration file changed by hand."""
    packages.debian("libthing1", "2.5-1", {"usr/lib/libthing.so": "old", "usr/share/doc/libthing1/changelog": "1"})
    packages.debian("server", "1.0-1", {"usr/bin/server": "x", "etc/server.conf": "port 80\n"}, ("etc/server.conf",))
    packages.python("alpha", "1.0", {"alpha/__init__.py": "V = 1\n", "alpha/old.py": "pass\n"})
    packages.file(f"{packages.SITE}/alpha/__pycache__/__init__.cpython-311.pyc", "compiled 1")
    project.build(COPY)
    packages.debian("libthing1", "2.5-1+deb12u1", {"usr/lib/libthing.so": "new"})
    shutil.rmtree(packages.folder / packages.SITE)
    packages.python("alpha", "1.1", {"alpha/__init__.py": "V = 2\n", "alpha/new.py": "pass\n"})
    packages.file(f"{packages.SITE}/alpha/__pycache__/__init__.cpython-311.pyc", "compiled 2")
    packages.file("etc/server.conf", "port 8080\n")
    (packages.folder / "usr/share/doc/libthing1/changelog").unlink()
    project.build()
    return project


def test_the_summary_names_exactly_what_was_done(upgraded):
    done = upgraded.command("diff", "web@{1}", "web")
    assert done.code == 1
    lines = [line.split() for line in done.out.splitlines() if line]
    assert ["packages:", "2", "upgraded"] in lines
    assert lines[1] == ["1", "path", "to", "look", "at"]
    assert lines[2] == ["M", "/etc/server.conf", "edited", "in", "server;", "content,", "8", "B", "->", "10", "B"]
    assert lines[4][:6] == ["dpkg", "libthing1:amd64", "upgraded", "2.5-1", "->", "2.5-1+deb12u1"]
    assert lines[5][:6] == ["python", "alpha", "upgraded", "1.0", "->", "1.1"]
    assert len(lines) < 10


def test_what_an_upgrade_explains_is_folded_and_the_rest_stands_out(upgraded):
    difference = report(upgraded, "web@{1}", "web", "--files")
    assert [file["path"] for file in difference["unexplained"]] == ["/etc/server.conf"]
    by_package = {file["path"]: file["package"] for file in difference["files"]}
    site = "/opt/venv/lib/python3.11/site-packages"
    assert by_package["/usr/lib/libthing.so"] == "libthing1:amd64"
    assert by_package[f"{site}/alpha/new.py"] == "alpha"
    assert by_package[f"{site}/alpha/old.py"] == "alpha"
    assert by_package[f"{site}/alpha/__pycache__/__init__.cpython-311.pyc"] == "alpha"
    assert by_package["/etc/server.conf"] == ""


def test_a_file_of_an_upgraded_package_that_was_changed_by_hand_too_stands_out(project, packages):
    packages.debian("server", "1.0-1", {"usr/bin/server": "x", "etc/server.conf": "port 80\n"}, ("etc/server.conf",))
    packages.python("alpha", "1.0", {"alpha/__init__.py": "V = 1\n"})
    project.build(COPY)
    packages.debian("server", "1.1-1", {"usr/bin/server": "y", "etc/server.conf": "port 80\n"}, ("etc/server.conf",))
    packages.file("usr/bin/server", "trojan")
    packages.file("etc/server.conf", "port 1\n")
    shutil.rmtree(packages.folder / packages.SITE)
    packages.python("alpha", "1.1", {"alpha/__init__.py": "V = 2\n"})
    packages.file(f"{packages.SITE}/alpha/__init__.py", "V = 2; import trojan\n")
    project.build()
    difference = report(project, "web@{1}", "web")
    assert [file["path"] for file in difference["unexplained"]] == [
        "/etc/server.conf",
        "/opt/venv/lib/python3.11/site-packages/alpha/__init__.py",
        "/usr/bin/server",
    ]


def test_packages_that_came_and_went(project, packages):
    packages.debian("one", "1", {"usr/bin/one": "1"})
    project.build(COPY)
    shutil.rmtree(packages.folder)
    packages.stanzas.clear()
    packages.debian("two", "1", {"usr/bin/two": "2"})
    packages.file("srv/node_modules/left-pad/package.json", '{"name": "left-pad", "version": "1.3.0"}')
    packages.file("srv/node_modules/left-pad/index.js", "x")
    project.build()
    difference = report(project, "web@{1}", "web")
    assert {(package["kind"], package["name"], package["verb"]) for package in difference["packages"]} == {
        ("dpkg", "one:amd64", "removed"),
        ("dpkg", "two:amd64", "added"),
        ("node", "left-pad", "added"),
    }
    assert difference["unexplained"] == []


def test_links_of_packages_are_theirs(project, packages):
    packages.debian("tool", "1", {"usr/bin/tool-1": "1"})
    project.build("run mkdir -p /etc/alternatives /usr/bin", COPY)
    packages.debian("tool", "2", {"usr/bin/tool-2": "2"})
    (packages.folder / "usr/bin/tool-1").unlink()
    (packages.folder / "etc/alternatives").mkdir(parents=True)
    (packages.folder / "etc/alternatives/tool").symlink_to("/usr/bin/tool-2")
    (packages.folder / "usr/bin/tool").symlink_to("/etc/alternatives/tool")
    (packages.folder / "usr/bin/mine").symlink_to("/opt/elsewhere")
    project.build()
    assert [file["path"] for file in report(project, "web")["unexplained"]] == ["/usr/bin/mine"]


def test_a_link_that_was_turned_elsewhere_stands_out(project, packages):
    packages.debian("tzdata", "1", {"usr/share/zoneinfo/UTC": "1", "usr/share/zoneinfo/Berlin": "1"})
    (packages.folder / "etc").mkdir()
    (packages.folder / "etc/localtime").symlink_to("/usr/share/zoneinfo/UTC")
    project.build(COPY)
    packages.debian("tzdata", "2", {"usr/share/zoneinfo/UTC": "2", "usr/share/zoneinfo/Berlin": "2"})
    (packages.folder / "etc/localtime").unlink()
    (packages.folder / "etc/localtime").symlink_to("/usr/share/zoneinfo/Berlin")
    project.build()
    assert [file["path"] for file in report(project, "web")["unexplained"]] == ["/etc/localtime"]


def test_facts_and_the_exit_code(project):
    project.build("env A=1", "file /a\n    1")
    project.build("env A=2", "env B=1", "user root", "file /a\n    1")
    difference = report(project, "web")
    assert {"name": "env.A", "old": "1", "new": "2"} in difference["facts"]
    assert {"name": "env.B", "old": None, "new": "1"} in difference["facts"]
    assert project.command("diff", "web", "web").code == 0
    assert "the same image" in project.command("diff", "web", "web").out
    missing = project.command("diff", "web", "none")
    assert (missing.code, "there is no image 'none'" in missing.err) == (2, True)


def test_files_say_in_what_they_differ(project):
    setup = ["run mkdir /d; echo 1 > /d/a; echo 1 > /d/b; echo 1 > /d/c; ln -s a /d/l; mkdir /d/gone; echo > /d/gone/x"]
    project.build(*setup)
    project.build(
        *setup, "run echo 22 > /d/a; chmod 700 /d/b; chown 5:50 /d/c; ln -sf b /d/l; rm -r /d/gone; mkfifo /d/p"
    )
    lines = project.command("diff", "web", "--files").out.splitlines()
    assert [line.split()[1] for line in lines] == sorted(line.split()[1] for line in lines)
    assert "M /d/a  content, 2 B -> 3 B, time" in lines
    assert "M /d/b  mode 0644 -> 0700" in lines
    assert "M /d/l  target a -> b" in lines
    assert "D /d/gone  directory" in lines
    assert "D /d/gone/x  1 B" in lines
    assert "A /d/p  named pipe" in lines
    owners = [line for line in lines if "/d/c" in line]
    assert owners in (["M /d/c  owner 0:0 -> 5:50"], [])  # with a single id nobody else can own it
    # The folder came only with what is in it, and went so.
    assert "/d/gone" not in {file["path"] for file in report(project, "web")["unexplained"]}


def test_text_is_a_diff_of_all_or_of_one_path(project):
    project.build("run seq 1 30 > /lines; printf 'no newline' > /end; head -c 3000 /bin/busybox > /binary")
    project.build("run seq 1 30 | sed s/^7$/seven/ > /lines; printf end > /end; head -c 4000 /bin/busybox > /binary")
    done = project.command("diff", "web", "--text", "/lines")
    lines = done.out.splitlines()
    assert [lines[0], *lines[2:5]] == ["diff --git a/lines b/lines", "--- a/lines", "+++ b/lines", "@@ -4,7 +4,7 @@"]
    everything = project.command("diff", "web", "--text").out
    assert "\\ No newline at end of file" in everything
    assert "/binary: ELF, 3000 bytes -> ELF, 4000 bytes" in everything
    nothing = project.command("diff", "web", "--text", "/bin")
    assert (nothing.code, "nothing differs at /bin" in nothing.err) == (2, True)


def test_unified_hunks_are_those_of_diff(tmp_path):
    old = [str(number) for number in range(60)]
    new = [*old[:5], "x", *old[6:30], *old[31:], "last"]
    (tmp_path / "a").write_text("\n".join(old) + "\n")
    (tmp_path / "b").write_text("\n".join(new) + "\n")
    words = ["diff", "-u", str(tmp_path / "a"), str(tmp_path / "b")]
    expected = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()[2:]
    assert list(unified(old, new)) == expected


def test_files_that_only_a_user_of_the_image_may_read_are_compared_too(project, packages):
    packages.debian("keys", "1", {"etc/keys": "one\n"}, ("etc/keys",))
    project.build(COPY, "run chown 5 /etc/keys; chmod 600 /etc/keys")
    packages.debian("keys", "2", {"etc/keys": "two\n"}, ("etc/keys",))
    project.build()
    assert report(project, "web")["unexplained"] == []
    assert "+two" in project.command("diff", "web", "--text", "/etc/keys").out
    assert "upgraded keys 2" in project.command("log", "web").out


def test_the_statements_that_differ(project):
    project.build("env A=1", "file /a\n    1")
    project.build("env A=2", "file /a\n    1")
    lines = project.command("diff", "web", "--recipe").out.splitlines()
    assert "-env A=1" in lines
    assert "+env A=2" in lines
    assert lines[-2:] == [" file /a", "     1"]


def test_recipes_and_locks_are_sides_too(project, tmp_path):
    project.build("file /a\n    1")
    shutil.copy(project.folder / "web.env.lock", project.folder / "old.env.lock")
    project.build("file /a\n    2")
    assert [file["path"] for file in report(project, "old.env.lock", "web.env")["unexplained"]] == ["/a"]
    # In another store only the locks are known.
    elsewhere = project.command("diff", "old.env.lock", "web.env.lock", ENVBUILD_STORE=str(tmp_path / "other"))
    assert elsewhere.code == 1
    assert "only what the locks say is compared" in elsewhere.out
    project.write("new.env", "from tar:busybox.tar", "run echo 3")
    unbuilt = project.command("diff", "web", "new.env")
    assert (unbuilt.code, "new.env is not built and has no lock" in unbuilt.err) == (2, True)


def test_documents_are_whole_and_escape_what_images_hold(upgraded):
    markdown = upgraded.command("diff", "web", "--format", "markdown").out
    assert "| upgraded | `libthing1:amd64` (dpkg) | `2.5-1` | `2.5-1+deb12u1` |" in markdown
    assert "| changed | `/etc/server.conf` | content | `edited in server` |" in markdown
    page = upgraded.command("diff", "web", "--format", "html").out
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    for outside in ("http://", "https://", "src=", "<script", "<link"):
        assert outside not in page
    upgraded.build("copy root/ -> /", "run touch '/<b>&`|x'")
    assert "&lt;b&gt;&amp;" in upgraded.command("diff", "web", "--format", "html").out
    assert "``/<b>&`|x``" in upgraded.command("diff", "web", "--format", "markdown").out


def test_long_lists_are_folded_in_comments_and_counted_on_terminals(project):
    project.build("run true")
    project.build("run mkdir -p /srv/x; for i in $(seq 400); do echo $i > /srv/x/$i; done; echo 1 > /etc/one")
    text = project.command("diff", "web").out
    assert len(text.splitlines()) < 12
    assert "A /etc/one  2 B" in text
    assert "400 other paths that differ" in text
    assert any(line.split()[:3] == ["/srv", "400", "added"] for line in text.splitlines())
    markdown = project.command("diff", "web", "--format", "markdown").out
    assert "<details>\n<summary>**400 other paths that differ**</summary>" in markdown
    assert "- and 200 more" in markdown
    assert len(markdown) < 65_536
    assert len(project.command("diff", "web", "--all").out.splitlines()) > 400


def test_the_pager_is_the_users_and_only_on_a_terminal(project, tmp_path):
    project.build("file /a\n    1")
    project.build("file /a\n    2")
    mark = tmp_path / "paged"
    pager = f"cat > {mark}"
    assert "/a" in project.command("diff", "web", ENVBUILD_PAGER=pager).out
    assert not mark.exists()
    words = ["script", "-qec", "python3 -c 'import sys' ; envbuild diff web; envbuild log web", "/dev/null"]
    words[2] = " ; ".join(f"{__import__('sys').executable} -m envbuild {command} web" for command in ("diff", "log"))
    subprocess.run(
        words, cwd=project.folder, env={**project.environment, "ENVBUILD_PAGER": f"cat >> {mark}", "TERM": "xterm"},
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    paged = mark.read_text()
    assert "/a" in paged
    assert "web:latest@{1}" in paged


def test_programs_are_compared_by_libraries_and_symbols(project):
    # Two small libraries that every machine with glibc has.
    paths = [next(Path("/").glob(f"usr/lib/*/{name}"), None) for name in ("libdl.so.2", "libnss_dns.so.2")]
    if shutil.which("nm") is None or None in paths:
        pytest.skip("nm (binutils) or glibc is not installed")
    for path in paths:
        shutil.copy(path, project.folder / "lib.so")
        project.build("copy lib.so -> /lib.so")
    lines = project.command("diff", "web", "--text", "/lib.so").out.splitlines()
    assert lines[0].startswith("/lib.so: ELF, ")
    assert any(line.startswith("  no longer has symbol __libdl_version_placeholder") for line in lines)
    assert "  now has symbol GLIBC_PRIVATE (A)" in lines


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        ("dpkg", "1.0", "1.0-1"),
        ("dpkg", "1.0~rc1", "1.0"),
        ("dpkg", "1.9", "1.10"),
        ("dpkg", "9", "1:1"),
        ("dpkg", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2"),
        ("python", "1.0rc1", "1.0"),
        ("python", "1.0", "1.0.post1"),
        ("node", "1.0.0-beta.1", "1.0.0"),
    ],
)
def test_versions_are_ordered_as_their_managers_do(kind, older, newer):
    assert is_older(kind, older, newer)
    assert not is_older(kind, newer, older)

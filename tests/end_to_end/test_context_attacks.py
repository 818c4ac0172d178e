"""A recipe's folder that means harm, or that changes while it is read."""

import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.end_to_end import changed_while_read
from tests.end_to_end.changed_while_read import to_directory, to_link, to_nothing, to_pipe, to_text

pytestmark = pytest.mark.namespaces

READ = "envbuild.build.context:_read"
TAKE = "envbuild.build.context_scan:Scan._take"
EXECUTE = "envbuild.build.sandbox_actions:Executor.execute"
HASH_FILE = "envbuild.build.context_scan:hash_file"


def build_while(project, change, *words: object, before: str, count: int = 1):
    """Builds web.env and makes this change of `changed_while_read` before the n-th call of a function of envbuild."""
    return project.call(changed_while_read.main, before, str(count), change.__name__, *map(str, words))


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "outside" / "secret"
    path.parent.mkdir()
    path.write_text("the host's secret")
    return path


class TestLinks:
    @pytest.mark.parametrize("statement", ["copy {} -> /x", "render {} -> /x", "run(mount={}:/x) true"])
    def test_a_path_out_of_the_folder_is_refused(self, project, secret, statement):
        for source in ("../outside/secret", "sub/../../outside/secret", "link", "folder/secret", str(secret)):
            project.write("sub/file")
            for name, target in (("link", secret), ("folder", secret.parent)):
                if not (project.folder / name).is_symlink():
                    (project.folder / name).symlink_to(target)
            done = project.build(statement.format(source))
            assert done.code == 2, done.out
            assert "the host's secret" not in done.out + done.err
            assert "leads out of the folder" in done.err or "absolute path" in done.err

    def test_a_context_is_never_above_the_repository(self, project, secret):
        (project.folder / ".git").mkdir()
        project.write(".git/HEAD", "ref: refs/heads/main")
        project.write("app/file", "text")
        project.write("deep/down/web.env", "context ../..", "from scratch", "copy app link -> /x/")
        (project.folder / "link").symlink_to("app/file")
        assert project.command("build", "deep/down/web.env").code == 0
        assert set(project.ls("/x")) == {"app", "file"}
        (project.folder / "out").symlink_to(secret.parent)
        for context in ("../../..", "../../out", "../../out/../outside", str(secret.parent), "../../app/file"):
            project.write("deep/down/web.env", f"context {context}", "from scratch", "copy secret -> /x")
            done = project.command("build", "deep/down/web.env")
            assert done.code == 2, done.out
            assert "--> deep/down/web.env:1:9" in done.err
            assert "the host's secret" not in done.out + done.err

    def test_a_context_that_becomes_a_link_since_the_recipe_was_read_is_refused(self, project, secret):
        (project.folder / ".git").mkdir()
        project.write(".git/HEAD", "ref: refs/heads/main")
        project.write("files/secret", "ours")
        project.write("deep/web.env", "context ../files", "from scratch", "copy secret -> /x")
        assert project.command("build", "deep/web.env").code == 0
        shutil.rmtree(project.folder / "files")
        (project.folder / "files").symlink_to(secret.parent)
        done = project.command("build", "deep/web.env")
        assert done.code == 2, done.out
        assert "leads out of" in done.err

    @pytest.mark.user
    def test_a_link_inside_a_copied_folder_is_copied_as_a_link(self, project, secret):
        project.write("app/file", "text")
        (project.folder / "app/link").symlink_to(secret)
        assert project.build("copy app/ -> /app/").code == 0
        assert project.ls("/app")["link"]["target"] == str(secret)

    def test_a_link_within_the_folder_is_followed_where_it_is_named(self, project):
        project.write("real/file", "text")
        (project.folder / "link").symlink_to("real")
        assert project.build("copy link/ -> /app/").code == 0
        assert project.cat("/app/file") == "text\n"


class TestSwaps:
    """Something takes a file's place between two looks."""

    def test_a_file_for_a_link_while_it_is_hashed(self, project, secret):
        path = project.write("app/file", "text")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(project, to_link, path, secret, before=HASH_FILE, count=2)
        assert done.returncode == 0, done.stderr
        # On the second look it is what it is now: a link, and copied as one.
        assert project.ls("/app")["file"]["kind"] == "link"

    def test_a_file_for_a_link_before_it_is_stored(self, project, secret):
        path = project.write("app/file", "text")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(project, to_link, path, secret, before=READ)
        assert done.returncode == 0, done.stderr
        assert "changed while it was copied: reading it again" in done.stderr
        assert project.ls("/app")["file"]["kind"] == "link"

    def test_a_folder_for_a_link_before_its_files_are_stored(self, project, secret):
        project.write("app/inner/secret", "mine")
        folder = project.folder / "app/inner"
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(project, to_link, folder, secret.parent, before=READ)
        assert done.returncode == 0, done.stderr
        assert project.ls("/app")["inner"]["kind"] == "link"
        assert not any(
            path.read_bytes() == b"the host's secret"
            for path in (project.store / "objects").rglob("*")
            if path.is_file()
        )

    def test_the_named_folder_itself_for_a_link(self, project, secret):
        project.write("app/secret", "mine")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(
            project,
            to_link,
            project.folder / "app",
            secret.parent,
            before=TAKE,
            count=2,
        )
        assert done.returncode == 2
        assert "leads out of the folder" in done.stderr

    @pytest.mark.user
    def test_a_mounted_folder_for_a_link(self, project, secret):
        project.write("data/file", "mine")
        project.write("web.env", "from tar:busybox.tar", "run(mount=data:/data) cat /data/*")
        done = build_while(
            project,
            to_link,
            project.folder / "data",
            secret.parent,
            before=EXECUTE,
        )
        assert done.returncode == 1
        assert "can't be mounted" in done.stderr
        assert "the host's secret" not in done.stdout + done.stderr

    @pytest.mark.parametrize("change", [to_pipe, to_directory])
    def test_a_file_for_something_else_is_an_error_and_no_hang(self, project, change):
        path = project.write("app/file", "text")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(project, change, path, before=READ)
        if change is to_directory:
            assert done.returncode == 0, done.stderr
            assert project.ls("/app")["file"]["kind"] == "directory"
        else:
            assert done.returncode == 2
            assert "is neither a file, a folder nor a link" in done.stderr


class TestChanges:
    def test_a_file_that_changes_once_while_it_is_copied_is_read_again(self, project):
        path = project.write("app/file", "before")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        done = build_while(project, to_text, path, "after, and longer", before=READ)
        assert done.returncode == 0, done.stderr
        assert "app/file changed while it was copied: reading it again" in done.stderr
        assert project.cat("/app/file") == "after, and longer"
        assert project.build().ran == []

    def test_a_file_that_never_stays_the_same_is_an_error(self, project):
        path = project.write("app/file", "0")
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                path.write_text(str(number) * 100_000)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = project.build("copy app/ -> /app/")
        finally:
            stop.set()
            writer.join()
        if done.code:  # it may have had luck
            assert done.code == 1
            assert "changed while it was read" in done.err + done.out
        assert list((project.store / "work").iterdir()) == []

    def test_a_file_that_goes_while_the_folder_is_read_is_gone(self, project):
        project.write("app/a", "1")
        path = project.write("app/b", "2")
        project.write("web.env", "from tar:busybox.tar", "copy app/ -> /app/")
        # The first call is for the archive of the base.
        done = build_while(project, to_nothing, path, before=HASH_FILE, count=2)
        assert done.returncode == 0, done.stderr
        assert sorted(project.ls("/app")) == ["a"]


class TestKinds:
    def special(self, project, kind: str):
        path = project.folder / "app" / "odd"
        path.parent.mkdir(exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            # A short path: a socket's may be 108 bytes long at most.
            here = os.getcwd()
            os.chdir(path.parent)
            try:
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind("odd")
            finally:
                os.chdir(here)
        else:
            os.mknod(path, 0o20600, os.makedev(1, 3))
        return path

    @pytest.mark.parametrize("kind", ["pipe", "socket", pytest.param("device", marks=pytest.mark.root)])
    @pytest.mark.parametrize("statement", ["copy app/ -> /app/", "copy app/odd -> /odd", "render app/odd -> /odd"])
    def test_what_is_no_file_is_refused_at_once(self, project, kind, statement):
        self.special(project, kind)
        done = project.build(statement)  # which would wait for who writes to a pipe
        assert done.code == 2, done.out
        assert "app/odd" in done.err
        if "app/ " in statement:
            assert "leave it out with exclude= or a line in .envignore" in done.err
            project.write(".envignore", "odd")
            assert project.build(statement).code == 0

    def test_an_ignore_file_that_is_a_pipe_is_refused(self, project):
        project.write("app/file")
        os.mkfifo(project.folder / ".envignore")
        done = project.build("copy app/ -> /app/")
        assert (done.code, ".envignore: not a plain file" in done.err) == (2, True), done.err


class TestNames:
    NAMES = (b"caf\xe9", b"\xff\xfe", b"new\nline", b"tab\there", b"\x1b[31mred", b" ", b"-rf", b"$(id)", b"a" * 255)

    def test_names_of_any_bytes_are_kept_byte_for_byte(self, project):
        folder = os.fsencode(project.folder / "app")
        os.mkdir(folder)
        for name in self.NAMES:
            with open(folder + b"/" + name, "wb") as file:
                file.write(b"content of " + name)
        os.mkdir(folder + b"/dir\xe9")
        os.symlink(b"to\xe9", folder + b"/dir\xe9/link\xe9")
        done = project.build("copy app/ -> /app/", "run ls /app | wc -l; cat /app/caf*; echo /app/dir*/*")
        assert done.code == 0, done.err
        out = b"".join(
            event["data"].encode() if "data" in event else __import__("base64").b64decode(event["data_base64"])
            for event in done.of("step-output")
        )
        assert b"content of caf\xe9" in out
        assert b"/app/dir\xe9/link\xe9" in out
        assert project.build().ran == []
        # Here and elsewhere: the lock and the listing are text, and the same after a look.
        shown = project.command("ls", "web", "/app", "--format", "json")
        assert shown.code == 0
        for words in (("ls", "web", "/app"), ("show", "web"), ("fsck",), ("images",)):
            assert project.command(*words).code == 0
        raw = subprocess.run(
            [sys.executable.encode(), b"-m", b"envbuild", b"cat", b"web", b"/app/caf\xe9"],
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            check=False,
        )
        assert raw.stdout == b"content of caf\xe9"
        ran = project.command("run", "web", "--", "sh", "-c", "cat /app/caf*")
        assert ran.code == 0

    @pytest.mark.user
    def test_steps_that_make_such_names_are_kept_too(self, project):
        script = "printf x > \"/$(printf 'caf\\351')\"; mkdir /d; printf y > \"/d/$(printf '\\377')\""
        assert project.build(f"run {script}").code == 0
        names = project.command("ls", "web", "/d")
        assert names.code == 0
        ran = project.command("run", "web", "--", "sh", "-c", "cd /d; echo * | od -An -tx1")
        assert ran.out.split() == ["ff", "0a"]
        assert project.command("fsck").code == 0


class TestDepth:
    def deep(self, folder, depth: int) -> None:
        """Makes folders in folders without a path that is too long for the system."""
        descriptor = os.open(folder, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=descriptor)
            inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(descriptor)

    def test_folders_300_deep_are_copied(self, project):
        (project.folder / "app").mkdir()
        self.deep(project.folder / "app", 300)
        assert project.build("copy app/ -> /app/", "run cd /app; while cd d 2>/dev/null; do :; done; pwd -P | wc -c")
        assert project.build().ran == []

    def test_folders_10000_deep_are_refused_in_words(self, project):
        (project.folder / "app").mkdir()
        self.deep(project.folder / "app", 10_000)
        try:
            done = project.build("copy app/ -> /app/")
            assert done.code == 2
            assert "folders nested deeper than 400 are not copied" in done.err
        finally:
            subprocess.run(["rm", "-rf", str(project.folder / "app")], check=True)

    @pytest.mark.user
    def test_a_step_that_makes_folders_3000_deep_fails_in_words_and_is_cleaned_up(self, project):
        # Each makes six characters of a path more, of which there may be 4,096 (PATH_MAX).
        done = project.build("run cd /; i=0; while [ $i -lt 3000 ]; do mkdir d; cd d; i=$((i+1)); done")
        assert done.code == 1, done.err
        assert "longer than" in done.err + done.out
        assert list((project.store / "work").iterdir()) == []
        assert project.build("run echo fine > /a").code == 0

    def test_a_step_may_make_folders_1000_deep(self, project):
        done = project.build(
            "run cd /; i=0; while [ $i -lt 1000 ]; do mkdir d; cd d; i=$((i+1)); done; echo text > file",
            "run cd /; while cd d 2>/dev/null; do :; done; cat file",
        )
        assert done.code == 0, done.err
        assert done.printed == "text\n"
        assert project.command("fsck").code == 0
        assert project.command("gc").code == 0
        subprocess.run(["rm", "-rf", str(project.store)], check=True)  # pytest would not get down there

"""`envbuild commit`: an image of an instance, and the recipe that gives the same."""

import json
import os
import shlex
import sqlite3
import subprocess

import pytest

from envbuild.drift.copied_files import MAX_UNASKED
from tests.forked import started
from tests.history.conftest import Git
from tests.poor_machines import with_small_copies

pytestmark = pytest.mark.namespaces


@pytest.fixture
def keeps_owners(hands):
    """Skips where a single id can't keep them."""
    from envbuild.linux.subids import why_not_range

    reason = why_not_range(os.geteuid()) if os.geteuid() else ""
    if reason:
        pytest.skip(reason)


def test_an_unchanged_instance_is_its_image(hands):
    hands.start()
    hands.change("touch /srv/x; rm /srv/x; touch /file")
    done = hands.commit()
    assert (done["changed"], done["recipe"], done["lines"]) == (False, None, [])
    assert done["image"] == done["base"] == hands.project.show("web:one")["digest"]
    assert not (hands.project.folder / "web-one.env").exists()


def test_files_folders_links_and_removals(hands):
    hands.start("web", "one", "--rm")
    hands.change(
        "echo longer > /srv/app/a; rm /srv/app/b; rm -r /srv/app/old; ln -sfn b /srv/app/link; chmod 2755 /data;"
        "mkdir -p /srv/new/deep /srv/empty; echo 1 > /srv/new/1; echo 2 > /srv/new/deep/2; ln -s ../1 /srv/new/deep/l;"
        "echo 1 > /etc/one.conf; echo 2 > /etc/two.conf; chmod 640 /etc/two.conf;"
        "rm /file; mkdir /file; echo 3 > /file/3"
    )
    done = hands.commit()
    assert hands.recipe()[1:] == [
        "run rm -rf -- /file /srv/app/b /srv/app/old",
        "copy web-one.files/file/ -> /file/",
        "copy web-one.files/srv/new/ -> /srv/new/",
        "copy web-one.files/etc/one.conf -> /etc/one.conf",
        "copy(mode=0640) web-one.files/etc/two.conf -> /etc/two.conf",
        "copy web-one.files/srv/app/a -> /srv/app/a",
        "run",
        "    mkdir -p -- /srv/empty",
        "    ln -sfn -- b /srv/app/link",
        "    chmod 2755 -- /data",
    ]
    assert (done["checked"], done["not_expressed"], done["noise"]) == (True, [], [])
    assert hands.rebuilt(done) == {}
    assert hands.project.show("web:one")["tree"] == hands.project.show("web-one")["tree"]
    assert hands.project.cat("/srv/app/a", "web:one") == "longer\n"
    assert hands.commit("--force")["image"] == done["image"]


def test_users_and_owners(hands, keeps_owners):
    hands.start()
    hands.change(
        "echo app:x:1234:1234::/srv/home:/bin/sh >> /etc/passwd; echo app:x:1234: >> /etc/group;"
        "mkdir -p /srv/home/in /etc/app; echo 1 > /srv/home/in/1; echo 2 > /srv/home/2; chown -R app:app /srv/home;"
        "echo 3 > /etc/app/secretive; chown 7:50 /etc/app/secretive; chown 50:50 /file; chown -h 7:7 /srv/app/link"
    )
    done = hands.commit()
    lines = hands.recipe()
    assert "adduser app uid=1234 home=/srv/home" in lines
    assert "copy(owner=app) web-one.files/srv/home/in/ -> /srv/home/in/" in lines
    assert "copy(owner=7:staff) web-one.files/etc/app/secretive -> /etc/app/secretive" in lines
    assert [row["path"] for row in done["not_expressed"]] == ["/etc/shadow"]
    assert set(hands.rebuilt(done)) == {"/etc/shadow"}


def test_names_that_no_recipe_can_hold(hands):
    hands.start()
    hands.change(
        "mkdir '/srv/a dir'; echo 1 > \"/srv/a dir/it's \\\"q\\\" \\${x} \\$y #z\"; echo 2 > '/srv/->';"
        "echo 5 > '/srv/[a]*';"
        'odd="$(printf "bad\\377\\nname")"; echo 3 > "/srv/$odd"; mkdir "/srv/app/$odd"; echo 4 > "/srv/app/$odd/in";'
        'chmod 600 "/srv/app/$odd/in"; ln -s "$odd" "/srv/app/to-odd"'
    )
    done = hands.commit()
    assert done["not_expressed"] == []
    assert hands.rebuilt(done) == {}
    assert (hands.project.folder / 'web-one.files/srv/a dir/it\'s "q" ${x} $y #z').read_text() == "1\n"


def test_without_a_shell_links_and_modes_are_copied_too(hands):
    hands.project.write("bare.env", "from tar:busybox.tar", "run rm /bin/rm /bin/ln; echo 1 > /file; echo 2 > /two")
    assert hands.project.command("build", "bare.env").code == 0
    hands.start("bare")
    hands.change("chmod 600 /file; busybox ln -s file /link; busybox rm /two; mkdir /empty")
    done = hands.commit()
    assert {row["path"]: row["why"] for row in done["not_expressed"]} == {"/two": "other", "/empty": "other"}
    assert set(hands.rebuilt(done, "bare-one")) == {"/two", "/empty"}


def test_noise_and_what_cant_be_copied_is_told(hands):
    hands.start("web", "one", "--rm")
    hands.change("echo 1 > /var/log/x.log; mkfifo /srv/pipe; echo row > /data/rows; echo 1 > /etc/x")
    done = hands.commit()
    assert {row["rule"]: row["paths"] for row in done["noise"]} == {"logs": 1, "data": 1}
    assert [(row["path"], row["why"]) for row in done["not_expressed"]] == [("/srv/pipe", "kind")]
    assert set(hands.rebuilt(done)) == {"/var/log/x.log", "/data/rows", "/srv/pipe"}
    text = (hands.project.folder / "web-one.env").read_text()
    assert "# discard /var/log/*" in text
    assert "#   /srv/pipe  only files, directories and links can be copied" in text


def test_secrets_stay_out_of_the_folder(hands):
    hands.start()
    hands.change(
        "mkdir -m 700 /root/.ssh; echo k > /root/.ssh/id_rsa; echo pub > /root/.ssh/id_rsa.pub;"
        "echo '-----BEGIN RSA PRIVATE KEY-----' > /etc/tls; echo t > /etc/token; chmod 600 /etc/token"
    )
    done = hands.commit()
    kept_out = {"/root/.ssh/id_rsa", "/etc/tls", "/etc/token"}
    assert {row["path"] for row in done["not_expressed"] if row["why"] == "secret"} == kept_out
    assert set(done["secrets"]) == kept_out
    assert set(hands.rebuilt(done)) == kept_out
    assert not (hands.project.folder / "web-one.files/etc").exists()
    done = hands.commit("--with-secrets", "--force")
    assert hands.rebuilt(done) == {}
    assert (hands.project.folder / "web-one.files/etc/token").stat().st_mode & 0o077 == 0


def test_nothing_is_overwritten_unless_asked_for(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    mine = hands.project.write("web-one.env", "# mine")
    assert "web-one.env exists already" in hands.refused("commit", "one").err
    assert mine.read_text() == "# mine\n"
    assert hands.project.command("show", "web:one").code == 2
    refused = hands.refused("commit", "one", "--output", "web-one.env/x")
    assert "there is no directory web-one.env/x" in refused.err
    read_only = hands.project.folder / "read-only"
    read_only.mkdir(mode=0o555)
    assert "its owner made it read-only" in hands.refused("commit", "one", "--output", "read-only").err
    assert list(read_only.iterdir()) == []
    hands.commit("--force")
    assert "copy" in mine.read_text()
    assert sorted(name for name in os.listdir(hands.project.folder) if name.startswith((".env", "web-one"))) == [
        "web-one.env",
        "web-one.files",
    ]
    hands.commit("--output", "new/folder")
    assert (hands.project.folder / "new/folder/web-one.env").exists()


def test_names_of_image_and_recipe(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    before = hands.project.show("web")["digest"]
    assert hands.commit("mine", "--no-recipe")["tag"] == "mine:one"
    assert hands.commit("web", "--no-recipe")["tag"] == "web:one"
    assert hands.project.show("web")["digest"] == before
    out = hands.project.folder / "out"
    out.mkdir()
    done = hands.commit("web:fixed", "--output", "out")
    assert (done["tag"], done["recipe"]) == ("web:fixed", "out/web-fixed.env")
    assert hands.project.command("tag", "--immutable", "web", "web:held").code == 0
    assert "immutable" in hands.refused("commit", "one", "web:held", "--output", "out").err
    assert sorted(os.listdir(out)) == ["web-fixed.env", "web-fixed.files"]
    assert "no project 'b' has built here" in hands.refused("commit", "one", "b/d").err


class TestStart:
    """The first line of a recipe, which a colleague with a store of their own has to be able to build."""

    @pytest.fixture
    def git(self, hands):
        git = Git(hands.project)
        git("init", "--quiet", "--initial-branch=main")
        hands.project.build()
        git.commit("as built")
        return git

    def colleague(self, hands, git, tmp_path, monkeypatch) -> None:
        """Goes on in a clone, with an empty store."""
        git.commit("the committed recipe")
        git("clone", "--quiet", str(hands.project.folder), str(tmp_path / "clone"))
        monkeypatch.setattr(hands.project, "folder", tmp_path / "clone")
        monkeypatch.setitem(hands.project.environment, "ENVBUILD_STORE", str(tmp_path / "theirs"))

    def test_the_recipe_of_the_image(self, hands, git, tmp_path, monkeypatch):
        hands.start()
        hands.change("echo 1 > /etc/x")
        done = hands.commit()
        assert (done["from"], done["portable"]) == ("from recipe:web.env", True)
        assert hands.recipe()[0] == "from recipe:web.env"
        assert "can as well be appended to web.env" in hands.read()
        assert hands.rebuilt(done) == {}
        with monkeypatch.context() as patch:
            self.colleague(hands, git, tmp_path, patch)
            theirs = hands.project.build(name="web-one.env")
            assert (theirs.code, hands.project.cat("/etc/x", "web-one")) == (0, "1\n")

    def test_the_commit_of_the_image_where_its_recipe_builds_another_by_now(self, hands, git, tmp_path, monkeypatch):
        commit = git("rev-parse", "HEAD").strip()
        hands.start("web:branch/main")
        hands.change("echo 1 > /etc/x")
        hands.project.build("run echo other > /other")
        git.commit("another image")
        done = hands.commit("--output", ".")
        assert (done["from"], done["portable"]) == (f"from image:git:{commit[:12]}:/web.env", True)
        (hands.project.folder / "fixes").mkdir()
        hands.project.build("run echo a > /a")
        with monkeypatch.context() as patch:
            self.colleague(hands, git, tmp_path, patch)
            refused = hands.project.command("build", done["recipe"])
            assert "git worktree add" in refused.err

    def test_from_another_folder_of_the_repository(self, hands, git):
        hands.start()
        hands.change("echo 1 > /etc/x")
        (hands.project.folder / "fixes").mkdir()
        done = hands.commit("--output", "fixes")
        assert done["from"] == "from recipe:../web.env"
        assert "appended" not in (hands.project.folder / "fixes/web-one.env").read_text()
        assert hands.project.build(name="fixes/web-one.env").code == 0

    def test_a_digest_where_nothing_else_is_known_and_that_is_said(self, hands):
        hands.start()
        hands.change("echo 1 > /etc/x")
        hands.commit("web:odd", "--no-recipe")
        hands.start("web:odd", "two")
        hands.change("echo 2 > /etc/y", "two")
        done = hands.project.command("commit", "two")
        assert (done.code, "nobody else can build it" in done.out) == (0, True), done.err
        text = (hands.project.folder / "web-two.env").read_text()
        assert "from image:sha256:" in text
        assert "works with this store alone" in text


@pytest.mark.parametrize("form", ["sha256:{}", "{}", "web@{{0}}"])
def test_the_name_of_an_image_that_was_called_by_its_digest(hands, form):
    hands.start(form.format(hands.project.show()["digest"].removeprefix("sha256:")))
    assert hands.commit("--no-recipe")["tag"] == "web:one"
    assert hands.project.command("diff", "one").code == 0


def test_a_clone_is_compared_with_the_image(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    assert hands.project.command("clone", "one", "--name", "two").code == 0
    hands.change("echo 2 > /etc/y", "two")
    assert {"/etc/x", "/etc/y"} <= set(hands.diff("two"))
    assert "/etc/x" not in hands.diff("one", "two")
    assert hands.project.command("commit", "two").code == 0
    assert hands.recipe("web-two")[1:] == ["copy web-two.files/etc/x web-two.files/etc/y -> /etc/"]


def test_a_repository_in_it_and_patterns_of_the_folder(hands):
    hands.start()
    hands.change(
        "mkdir -p /srv/code/.git; echo ref > /srv/code/.git/HEAD; echo 1 > /srv/code/main.c; echo 2 > /etc/x.o"
    )
    done = hands.commit()
    assert {row["path"] for row in done["not_expressed"]} == {"/srv/code/.git", "/srv/code/.git/HEAD"}
    assert set(hands.rebuilt(done)) == {"/srv/code/.git", "/srv/code/.git/HEAD"}
    hands.project.write(".envignore", "*.o")
    assert ".envignore" in hands.refused("commit", "one", "--force").err


def test_without_a_build_nothing_is_promised(hands):
    hands.start()
    hands.change("echo 1 > /etc/x; echo 2 > /var/log/x")
    done = hands.commit("--no-build")
    assert (done["checked"], [row["rule"] for row in done["noise"]]) == (False, ["logs"])
    assert "were not built" in (hands.project.folder / "web-one.env").read_text()
    # A file has the time of its content in a build; only then could the image take it.
    assert set(hands.rebuilt(done)) - {"/", "/etc", "/etc/x", "/var/log"} == {"/var/log/x"}


def test_the_other_commands_know_the_image(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    hands.commit("--no-recipe")
    project = hands.project
    assert project.command("run", "web:one", "--", "cat", "/etc/x").out == "1\n"
    (entry,) = json.loads(project.command("log", "web:one", "--format", "json").out)
    assert (entry["action"], entry["instance"]) == ("commit", "one")
    assert "commit of the instance one" in project.command("log", "web:one").out
    assert "commit of the instance one" in project.command("why", "web:one", "/etc/x").out
    assert "no build made it" in hands.refused("verify", "web:one").err
    assert project.show("web:one")["steps"][0]["text"] == "commit of the instance one"
    assert project.command("tag", "web:one", "web:qa").code == 0
    (way,) = json.loads(project.command("log", "web:qa", "--format", "json").out)[0]["way"]
    assert way["action"] == "commit"
    project.command("gc")
    assert project.command("fsck").code == 0
    assert project.cat("/etc/x", "web:one") == "1\n"


def test_facts_stay_and_lines_run_as_root(hands):
    hands.project.build("run echo 1 > /file", "user 7", "env A=1", "workdir /etc", name="web.env")
    hands.start()
    hands.change("chmod 600 /file; rm /bin/tty")
    done = hands.commit()
    assert hands.recipe()[1:] == ["run(user=root)", "    rm -rf -- /bin/tty", "    chmod 0600 -- /file"]
    assert hands.rebuilt(done) == {}
    assert hands.project.show("web:one")["facts"] == hands.project.show("web-one")["facts"]


def test_packages_that_cant_be_installed_are_copied(hands):
    hands.start()
    hands.change(
        "mkdir -p /var/lib/dpkg/info /usr/share/a/b /usr/share/c /usr/share/d; chmod 755 /usr;"
        "printf 'Package: mine\\nStatus: install ok installed\\nArchitecture: all\\n' > /var/lib/dpkg/status;"
        "printf 'Version: 1.0\\n\\n' >> /var/lib/dpkg/status;"
        "printf '/.\\n/usr/share/a/b/1\\n' > /var/lib/dpkg/info/mine.list; echo 1 > /usr/share/a/b/1;"
        "mkdir -p /opt/venv/lib/python3.11/site-packages/x-1.dist-info; cd /opt/venv;"
        "echo home = /usr/bin > pyvenv.cfg;"
        "cd lib/python3.11/site-packages/x-1.dist-info; touch REQUESTED;"
        "printf 'Name: x\\nVersion: 1\\n\\n' > METADATA;"
        'mkdir -p /srv/js/node_modules/y; cd /srv/js; echo \'{"dependencies": {"y": "^1"}}\' > package.json;'
        'echo \'{"name": "y", "version": "1.2.3"}\' > node_modules/y/package.json'
    )
    done = hands.commit("--fetch")
    assert [row["line"] for row in done["dropped"]] == [
        "apt mine=1.0",
        "pip(into=/opt/venv) x==1",
        "npm(into=/srv/js) y@1.2.3",
    ]
    assert "no apt-get" in done["dropped"][0]["reason"]
    assert "#   npm(into=/srv/js) y@1.2.3" in hands.read()
    assert done["not_expressed"] == []
    assert hands.rebuilt(done) == {}


def test_what_others_wrote_does_no_harm_in_the_recipe(hands):
    hands.start()
    hands.change(
        "mkdir -p /var/lib/dpkg; chmod 755 /var/lib;"
        "printf 'Package: a$(id)\\nStatus: install ok installed\\nArchitecture: all\\n' > /var/lib/dpkg/status;"
        "printf 'Version: 1\\033[31m\\n\\n' >> /var/lib/dpkg/status;"
        "printf 'b\\377:x:77:77::/home\\377:/bin/sh\\nc:x:78:78:\\033:/h:/bin/sh\\n' >> /etc/passwd;"
        "touch \"/srv/$(printf 'x\\nrun echo harm')\"; mkfifo \"/srv/$(printf 'p\\nrun echo harm')\""
    )
    done = hands.commit()
    assert "\nrun echo" not in hands.read()
    assert set(hands.rebuilt(done)) == {row["path"] for row in done["not_expressed"]}


def test_many_folders_of_one_kind_are_one_line(hands):
    hands.project.build(
        "run mkdir -p /usr/share/a /usr/share/b /usr/share/c /usr/share/d /usr/share/e; chmod 700 /usr/share/e"
    )
    hands.start()
    hands.change("for one in a b c d; do echo $one > /usr/share/$one/file; done")
    assert hands.rebuilt(hands.commit()) == {}
    assert hands.recipe()[1:] == ["copy web-one.files/usr/share/ -> /usr/share/"]
    hands.change("echo e > /usr/share/e/file")  # a copy of the whole would change the mode of this one
    assert hands.rebuilt(hands.commit("--force")) == {}
    assert len(hands.recipe()[1:]) == 5


def test_a_folder_that_cant_be_written(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    assert hands.refused("commit", "one", "--output", "/proc").code == 2


def test_an_instance_whose_image_is_gone(hands):
    hands.start()
    hands.change("echo 1 > /etc/x")
    with sqlite3.connect(hands.project.store / "store.db") as database:
        for table in ("images", "tags"):
            database.execute(f"DELETE FROM {table}")
    database.close()
    assert "is no longer in the store" in hands.refused("commit", "one").err
    assert "is no longer in the store" in hands.refused("diff", "one", "one").err
    code, (report,) = hands.drift()
    assert (code, report["problem"]) == (1, "its image is no longer in the store")
    assert "no longer in the store" in hands.project.command("drift").out


def test_noise_patterns():
    from envbuild.drift.ignore_rules import IgnoreRules

    noise = IgnoreRules(["/srv/data", "/odd[x]"])
    expected = {
        "tmp/x": "temporary",
        "var/log/a/b": "logs",
        "home/a/.cache": "caches",
        "home/a/.cache/x/y": "caches",
        "usr/lib/python3/__pycache__/a.pyc": "compiled Python",
        "root/.bash_history": "histories",
        "srv/data/rows": "data",
        "odd[x]/1": "data",
        "etc/passwd-": "package leftovers",
        "run/nginx.pid": "temporary",
        "srv/nginx.pid": "process ids",
        "etc/machine-id": "machine identity",
        "var/lib/apt/lists/x": "package lists",
    }
    rules = {path: noise.rule(path.encode(), False) for path in expected}
    assert {path: rule.name if rule else None for path, rule in rules.items()} == expected
    for path in ("etc/passwd", "srv/tmp/x", "srv/data", "oddx/1", "usr/lib/a.py", "var/logs/x", "tmp"):
        assert noise.rule(path.encode(), path in ("srv/data", "tmp")) is None, path


def test_packages_of_a_user_and_of_the_whole_system_are_lines_that_run_pip_and_npm(hands):
    hands.start()
    metadata = "Metadata-Version: 2.1\\nName: {}\\nVersion: 1.0\\n"
    sites = {
        "six": "/root/.local/lib/python3.11/site-packages",
        "idna": "/usr/local/lib/python3.11/dist-packages",
        "own": "/usr/lib/python3/dist-packages",  # of Debian's packages
    }
    hands.change(
        "".join(
            f"mkdir -p {site}/{name}-1.0.dist-info;"
            f"printf '{metadata.format(name)}' > {site}/{name}-1.0.dist-info/METADATA;"
            for name, site in sites.items()
        )
        + "mkdir -p /usr/lib/python3.11; touch /usr/lib/python3.11/EXTERNALLY-MANAGED;"
        "for name in cowsay @own/tool 'evil;name'; do mkdir -p \"/usr/lib/node_modules/$name\";"
        'echo "{\\"version\\": \\"1.5.0\\"}" > "/usr/lib/node_modules/$name/package.json"; done;'
        "mkdir -p /home/x/lib/node_modules/y; chown 77:77 /home/x/lib/node_modules;"
        'echo "{\\"version\\": \\"1.0.0\\"}" > /home/x/lib/node_modules/y/package.json'
    )
    done = hands.commit("--no-build")
    assert [line for line in hands.recipe() if line.startswith("run(")] == [
        "run(network) python3.11 -m pip install --no-deps --only-binary=:all: --no-cache-dir --break-system-packages "
        "idna==1.0",
        "run(network) python3.11 -m pip install --user --no-deps --only-binary=:all: --no-cache-dir "
        "--break-system-packages six==1.0",
        "run(network) npm install --global --prefix /usr --ignore-scripts --no-audit --no-fund @own/tool@1.5.0 "
        "cowsay@1.5.0",
    ]
    # These fetch what an instance says that it has: only after a question.
    refused = hands.refused("commit", "one", "web:other")
    assert "run(network) npm install" in refused.err
    assert done["checked"] is False


def test_large_files_are_not_laid_beside_the_recipe_without_a_word(hands):
    assert MAX_UNASKED == 100 << 20
    project = hands.project
    project.entry = f"{with_small_copies.__module__}:{with_small_copies.__name__}"
    hands.start()
    hands.change("truncate -s 103424 /srv/dump; echo 1 > /srv/small")
    command = shlex.join([*started(project.entry), "commit", "one", "--no-build"])
    asked = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=project.folder,
        env=project.environment,
        input=b"n\n",
        capture_output=True,
        check=False,
    )
    assert b"Write them? [y/N]" in asked.stdout
    assert b"nothing was committed" in asked.stdout
    assert not list(project.folder.glob("web-one*"))
    assert "web:one" not in project.command("images").out
    done = project.command("commit", "one", "--no-build")
    assert done.code == 0, done.err
    assert "warning: 2 files will be copied to web-one.files, 101.0 KiB" in done.err
    assert "101.0 KiB  /srv/dump" in done.err

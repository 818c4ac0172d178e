"""Each statement of the language, as a user sees what it does."""

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.namespaces


@pytest.mark.user
def test_run_makes_files_and_each_line_of_a_block_runs_in_one_shell(project):
    done = project.build("run", "    name=x", '    echo "$name" > /a', "run echo 2 > /b")
    assert done.code == 0, done.err
    assert project.cat("/a") == "x\n"
    assert project.cat("/b") == "2\n"


def test_a_failing_line_in_the_middle_of_a_block_fails_the_step(project):
    done = project.build("run", "    echo before", "    false", "    echo after")
    assert done.code == 1
    assert done.printed == "before\n"


@pytest.mark.user
def test_copy_takes_files_folders_links_and_modes(project):
    project.write("app/main.py", "print(1)")
    project.write("app/pkg/__init__.py", "")
    (project.folder / "app/main.py").chmod(0o755)
    (project.folder / "app/link").symlink_to("main.py")
    project.write("one.txt", "1")
    project.write("two.txt", "2")
    done = project.build(
        "copy app/ -> /srv/contents",
        "copy app -> /srv/whole/",
        "copy app -> /srv/renamed",
        "copy one.txt two.txt -> /etc/",
        "copy one.txt -> /etc/other",
        "copy(mode=0600) one.txt -> /etc/secret",
        "copy *.txt -> /wild/",
    )
    assert done.code == 0, done.err
    assert set(project.ls("/srv/contents")) == {"main.py", "pkg", "link"}
    assert set(project.ls("/srv/whole")) == {"app"}
    assert project.ls("/srv/renamed")["main.py"]["mode"] == "0755"
    assert project.ls("/srv/renamed")["link"]["target"] == "main.py"
    assert project.cat("/etc/other") == "1\n"
    assert project.ls("/etc")["secret"]["mode"] == "0600"
    assert set(project.ls("/wild")) == {"one.txt", "two.txt"}


@pytest.mark.user
def test_copy_gives_files_to_a_user_of_the_image(project):
    project.write("data/file", "x")
    done = project.build("adduser app uid=1234", "copy(owner=app) data/ -> /data/", "run stat -c %u:%g /data/file")
    assert done.code == 0, done.err
    entry = project.ls("/data")["file"]
    assert (entry["uid"], entry["gid"]) == (1234, 1234)


def test_copy_leaves_out_what_exclude_and_envignore_say(project):
    project.write("app/keep.py", "")
    project.write("app/__pycache__/x.pyc", "")
    project.write("app/notes.tmp", "")
    project.write(".envignore", "# temporary files", "*.tmp")
    done = project.build('copy(exclude="**/__pycache__") app/ -> /app/')
    assert done.code == 0, done.err
    assert set(project.ls("/app")) == {"keep.py"}


def test_copy_chooses_what_it_takes_and_where_it_lies(project):
    for path in ("app/a.py", "app/pkg/b.py", "app/pkg/notes.md", "app/empty/x.txt", "docs/c.md", "d.md"):
        project.write(path, path)
    done = project.build(
        "from tar:busybox.tar as first",
        'copy(include="*.py") app -> /py',
        'copy(include="*.py", exclude="pkg") app -> /top',
        "copy(contents) app/pkg docs -> /merged",
        "copy(contents) app/p* -> /wild",
        "copy(optional) missing docs/c.md nothing* -> /some",
        "copy(optional) missing -> /none",
        "copy(parents, mode=0600) app/pkg/*.md ./docs/./c.md -> /kept",
        'copy(mode="u+x,go-r") d.md -> /changed',
        "from tar:busybox.tar",
        'copy(from=first, include="*.py", parents) /py/pkg -> /again',
        "copy(from=first, optional) /none /merged/c.md -> /",
    )
    assert done.code == 0, done.err
    assert set(project.ls("/")) >= {"again", "c.md"}
    assert project.cat("/again/py/pkg/b.py") == "app/pkg/b.py\n"
    assert project.command("build", "web.env", "--stage", "first", "--tag", "first").code == 0

    def listed(path: str) -> set[str]:
        listed = json.loads(project.command("ls", "--recursive", "first", path, "--format", "json").out)
        return {entry["name"] for entry in listed}

    assert listed("/py") == {"a.py", "pkg", "pkg/b.py"}
    assert listed("/top") == {"a.py"}
    assert listed("/merged") == {"b.py", "notes.md", "c.md"}
    assert listed("/wild") == {"b.py", "notes.md"}
    assert listed("/some") == {"c.md"}
    assert listed("/kept") == {"app", "app/pkg", "app/pkg/notes.md", "c.md"}
    modes = {path: entry["mode"] for path, entry in project.ls("/kept", "first").items()}
    assert modes == {"app": "0700", "c.md": "0600"}
    assert project.ls("/", "first")["changed"]["mode"] == "0700"
    assert "none" not in project.ls("/", "first")


def test_what_is_missing_or_lies_elsewhere_is_part_of_the_key(project):
    """One of two files with one name and one content is there: which one decides where it lies."""
    for there in ("a", "b"):
        project.write(f"{there}/f", "x")
        done = project.build("copy(optional, parents) a/f b/f -> /x/", "copy(optional) a/ b -> /y/")
        assert done.code == 0, done.err
        assert set(project.ls("/x")) == {there}
        assert set(project.ls("/y")) == ({"f"} if there == "a" else {"b"})
        (project.folder / there / "f").unlink()
        (project.folder / there).rmdir()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('copy(include="*.none") app -> /x', "nothing of 'app' is matched by include="),
        ("copy(parents) app/../app -> /x", "can't keep the path 'app/../app'"),
        ("copy(mode=u+x,go-w) app -> /x", 'as in: mode="u+x,go-w"'),
        ('copy(mode="u+y") app -> /x', 'or a change: "u+x,go-w"'),
    ],
)
def test_wrong_copies_say_what_to_write(project, statement, words):
    project.write("app/file")
    done = project.build(statement)
    assert done.code == 2
    assert words in done.err


def test_the_first_build_says_what_docker_does_otherwise(project):
    project.write("app/file")
    project.write(".envignore", "app/deep", "!app/deep/kept")
    project.write("web.env", "from scratch", "copy app -> /srv/", "copy app/ -> /app/", "copy app -> /x")
    first, second = (project.command("build", "web.env") for _ in range(2))
    notes = [line for line in first.err.splitlines() if "note: web.env: copy" in line]
    assert notes == ["note: web.env: copy app -> /srv/ puts it at /srv/app"]
    assert ".envignore: '!app/deep/kept' brings nothing back" in first.err
    assert "docker" not in second.err


def test_copy_of_an_ignored_file_says_so(project):
    project.write("notes.tmp", "")
    project.write(".envignore", "*.tmp")
    done = project.build("copy notes.tmp -> /")
    assert done.code == 2
    assert "left out by" in done.of("step-failed")[0]["message"] if done.of("step-failed") else "left out" in done.err


@pytest.mark.parametrize("source", ["../outside", "/etc/passwd", "link-out", "folder/link-out/passwd"])
def test_copy_from_outside_of_the_folder_is_refused(project, source):
    (project.folder.parent / "outside").write_text("secret")
    (project.folder / "link-out").symlink_to("../outside")
    (project.folder / "folder").mkdir()
    (project.folder / "folder/link-out").symlink_to("/etc")
    done = project.build(f"copy {source} -> /x")
    assert done.code == 2
    assert "folder of the recipe" in done.err


def test_a_missing_source_names_the_nearest(project):
    project.write("requirements.txt", "")
    done = project.build("copy requirement.txt -> /x")
    assert done.code == 2
    assert "did you mean 'requirements.txt'?" in done.err


def test_copy_from_a_stage_an_image_and_a_recipe(project):
    assert project.build("run echo tool > /tool", name="tools.env").code == 0
    project.write("lib.env", "from tar:busybox.tar", "run echo lib > /lib")
    done = project.build(
        "from tar:busybox.tar as maker",
        "run mkdir /out && echo made > /out/file && ln -s file /out/link",
        "from tar:busybox.tar",
        "copy(from=maker) /out/ -> /copied/",
        "copy(from=tools) /tool -> /usr/bin/",
        "copy(from=recipe:lib.env) /lib -> /srv/lib",
    )
    assert done.code == 0, done.err
    assert project.cat("/copied/link") == "made\n"
    assert project.cat("/usr/bin/tool") == "tool\n"
    assert project.cat("/srv/lib") == "lib\n"


def test_render_sees_parameters_and_environment_and_is_strict(project):
    project.write("conf.j2", "{{ port }} {{ env.MODE }} {{ recipe }}")
    done = project.build(
        "recipe web", 'param port = "80"', "from tar:busybox.tar", "env MODE=fast", "render conf.j2 -> /etc/conf"
    )
    assert done.code == 0, done.err
    assert project.cat("/etc/conf") == "80 fast web\n"
    project.write("conf.j2", "{{ nothing }}")
    again = project.build()
    assert again.code == 2
    assert "conf.j2:1" in again.of("step-failed")[0]["message"]


def test_file_replaces_parameters_and_nothing_else(project):
    done = project.build(
        "recipe web", 'param x = "1"', "from tar:busybox.tar", "file(mode=0640) /a", "    ${x} # text", "    \\${x}"
    )
    assert done.code == 0, done.err
    assert project.cat("/a") == "1 # text\n${x}\n"
    assert project.ls("/")["a"]["mode"] == "0640"


@pytest.mark.user
def test_adduser_makes_user_group_and_home(project):
    done = project.build(
        "adduser app uid=1500 groups=staff home=/srv/app shell=/bin/sh", "user app", "run id; pwd; echo $HOME"
    )
    assert done.code == 0, done.err
    assert "app:x:1500:1500::/srv/app:/bin/sh" in project.cat("/etc/passwd")
    assert "/srv/app" in done.printed
    assert project.show()["facts"]["user"] == "app"


def test_adduser_of_a_taken_name_is_an_error(project):
    done = project.build("adduser root")
    assert done.code == 1
    assert "exists already" in done.of("step-failed")[0]["message"]


def test_env_is_there_in_later_steps_and_sees_what_came_before(project):
    done = project.build('env A=1 PATH="/opt:${PATH}"', 'env B="${A}2"', "run echo $A $B $PATH")
    assert done.printed == "1 12 /opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"


def test_workdir_is_made_and_used(project):
    done = project.build("workdir /srv/app", "run pwd > where", "workdir sub" if False else "workdir /srv/app/sub")
    assert done.code == 0, done.err
    assert project.cat("/srv/app/where") == "/srv/app\n"
    assert "sub" in project.ls("/srv/app")


@pytest.mark.user
def test_discard_keeps_paths_out_of_all_later_snapshots(project):
    done = project.build("run mkdir /log; echo 1 > /log/a", 'discard "/log/*"', "run echo 2 > /log/b; echo 3 > /kept")
    assert done.code == 0, done.err
    assert project.ls("/log") == {}
    assert project.cat("/kept") == "3\n"


def test_a_test_leaves_nothing_behind_and_fails_the_build(project):
    done = project.build("run echo 1 > /a", "test touch /b && test -e /a")
    assert done.code == 0, done.err
    assert "b" not in project.ls("/")
    failed = project.build("run echo 1 > /a", "test false")
    assert failed.code == 1
    # The tag still names the image that passed.
    assert project.show()["digest"] == f"sha256:{done.image}"


def test_facts_are_kept_and_unset(project):
    done = project.build(
        "expose 80 53/udp",
        "volume /data",
        "label team=web",
        'start ["sh", "-c", "echo hi"]',
        "stop INT",
        "health(every=5s, timeout=1s, retries=2) true",
        name="base.env",
    )
    assert done.code == 0, done.err
    facts = project.show("base")["facts"]
    assert facts["expose"] == ["53/udp", "80/tcp"]
    assert facts["volumes"] == ["/data"]
    assert facts["labels"] == {"team": "web"}
    assert facts["start"]["argv"] == ["sh", "-c", "echo hi"]
    assert facts["stop"] == "INT"
    assert facts["health"]["every"] == 5
    again = project.build("from image:base", "unset expose label:team start health")
    assert again.code == 0, again.err
    left = project.show()["facts"]
    assert "expose" not in left
    assert "labels" not in left
    assert "start" not in left
    assert left["volumes"] == ["/data"]


def test_when_chooses_statements_by_parameter(project):
    lines = (
        "recipe web",
        "param mode = fast in fast slow",
        "from tar:busybox.tar",
        "run(when=mode==slow) echo slow > /slow",
        "run(when=mode!=slow) echo fast > /fast",
        "env",
        "    (when=mode==slow) WAIT=10",
        "    MODE=${mode}",
        "expose",
        "    (when=mode==slow, when=recipe==web) 80",
    )
    assert project.build(*lines).code == 0
    assert "fast" in project.ls("/")
    assert project.show()["facts"]["env"] == {"MODE": "fast"}
    assert "expose" not in project.show()["facts"]
    assert project.build(options=("--set", "mode=slow")).code == 0
    assert "slow" in project.ls("/")
    assert project.show()["facts"]["env"] == {"MODE": "slow", "WAIT": "10"}
    assert project.show()["facts"]["expose"] == ["80/tcp"]
    assert project.build(options=("--set", "mode=medium")).code == 2


@pytest.mark.user
def test_a_command_sees_other_trees_and_memory_while_it_runs(project):
    project.write("lib.env", "from tar:busybox.tar", "run echo lib > /lib; ln -s lib /link")
    project.write("data/f", "of the context")
    lines = (
        "from tar:busybox.tar as tools",
        "run mkdir -p /out/in; chmod 750 /out; echo t > /out/in/t; chown 7:8 /out/in/t; ln -s in/t /out/l",
        "from tar:busybox.tar",
        "run(mount=tools:/out:/mnt/out, mount=recipe:lib.env:/link:/mnt/lib, mount=data:/mnt/data, tmpfs=/build:1m)",
        "    cat /mnt/out/l /mnt/lib /mnt/data/f > /seen",
        "    stat -c %u:%g:%a /mnt/out/in/t /mnt/out >> /seen",
        "    df -k /build | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2 >> /seen; touch /build/x",
        "    ! touch /mnt/out/no 2> /dev/null; ! sh -c 'echo > /mnt/lib' 2> /dev/null",
        "test(mount=tools:/out/in/t:/x, tmpfs=/build) grep t /x && ! ls /build/x",
    )
    done = project.build(*lines)
    assert done.code == 0, done.err
    assert project.cat("/seen") == "t\nlib\nof the context\n7:8:644\n0:0:750\n1024\n"
    assert not {"mnt", "build"} & set(project.ls("/"))
    assert project.command("verify", "web").code == 0
    assert project.command("fsck").code == 0
    assert project.build().events[-1]["ran"] == 0
    project.write("web.env", *(line.replace("echo t ", "echo u ") for line in lines))
    assert "because: mounted /out of tools changed" in project.command("build", "web.env", "--explain").err
    for wrong, words in (
        ("mount=tools:/none:/x", "tools has no '/none'"),
        ("mount=tols:/out:/x", "did you mean 'tools'?"),
        ("mount=tar:busybox.tar:/bin:/x", "'tar:busybox.tar' is not a stage or an image"),
        ("tmpfs=/x:0", "'0' is not a valid size"),
    ):
        done = project.build("from tar:busybox.tar as tools", "from tar:busybox.tar", f"run({wrong}) true")
        assert (done.code, words in done.err) == (2, True), done.err


def test_images_of_a_recipe_are_stages_by_their_names(project):
    project.write(
        "web.env",
        "image web from app",
        "from tar:busybox.tar as app",
        "run echo app > /app",
        "from app as debug",
        "run echo gdb > /gdb",
        "image web-debug from debug",
        "from scratch as unused",
        "workdir /unused",
    )
    project.write("top.env", "from recipe:web.env", "run ls / > /seen")
    done = project.command("build", "web.env")
    assert done.code == 0, done.err
    assert [line.partition(" = ")[0] for line in done.err.splitlines()[-2:]] == ["web:latest", "web-debug:latest"]
    assert "unused" not in done.err
    assert set(project.ls("/")) - set(project.ls("/", "web-debug")) == set()
    assert set(project.ls("/", "web-debug")) - set(project.ls("/")) == {"gdb"}
    assert project.command("build", "--locked=exact", "web.env").code == 0
    assert project.command("build", "top.env").code == 0
    assert "gdb" not in project.cat("/seen", "top")
    for image in ("web", "web-debug"):
        assert project.command("verify", image).code == 0
    assert [stage["stage"] for stage in project.show()["stages"]] == ["app"]
    # A name of the user's own is for the recipe's image, and a stage alone for itself.
    assert project.command("build", "web.env", "--tag", "web:prod").code == 0
    assert project.command("build", "web.env", "--stage", "debug", "--tag", "try").code == 0
    assert project.show("web:prod")["digest"] == project.show("web")["digest"]
    assert project.show("try")["digest"] == project.show("web-debug")["digest"]


def test_references_have_defaults(project):
    done = project.build(
        "recipe web",
        'param none = ""',
        "param some = s",
        "from scratch as first",
        'env A=${none:-a}${some:+b} LIB=/x${LIB:+:${LIB}} SAID="${MISSING:-two  words}" EMPTY=${none:+x}${some:-y}',
        "env LIB=/y${LIB:+:${LIB}} NEVER=${MISSING:+${OTHER}}",
        "file /${none:-named-${some}}",
        "    x",
        'start ["run", "${none:-quiet}", "${some:+--${some}}"]',
    )
    assert done.code == 0, done.err
    facts = project.show()["facts"]
    env = {"A": "ab", "LIB": "/y:/x", "SAID": "two  words", "EMPTY": "s", "NEVER": ""}
    assert facts["env"] == env
    assert facts["start"]["argv"] == ["run", "quiet", "--s"]
    assert set(project.ls("/")) == {"named-s"}


def test_parameters_reach_commands_as_variables_and_cannot_break_out(project):
    done = project.build("recipe web", 'param x = "a; touch /owned"', "from tar:busybox.tar", 'run echo "$x" > /said')
    assert done.code == 0, done.err
    assert project.cat("/said") == "a; touch /owned\n"
    assert "owned" not in project.ls("/")


def test_npm_says_where_it_passes_over_the_lock_of_another_manager(project):
    project.write("app/package.json", '{"dependencies": {"is-odd": "3"}}')
    project.write("app/pnpm-lock.yaml", "lockfileVersion: '9.0'")
    for manager in ("", ", manager=npm"):
        done = project.build("run true", f"npm(into=/srv/app{manager}) -r app")
        assert "the tree has no" in done.of("step-failed")[0]["message"], "it is asked as before"
        warned = [event for event in done.of("notice") if event["level"] == "warning"]
        assert [event["message"] for event in warned] == [
            "web.env:3: npm does not read app/pnpm-lock.yaml, and chooses versions anew"
        ][: not manager]
        assert all("npm(manager=pnpm, ...)" in event["hint"] for event in warned)
    project.write("app/package-lock.json", "{}")
    assert not project.build("run true", "npm(into=/srv/app) -r app").of("notice")


@pytest.mark.parametrize(
    ("statement", "lacking", "way_out"),
    [
        ("apt curl", "the tree has no apt-get", "from debian:bookworm"),
        ("pip(into=/v) flask", "the tree has no Python", "apt python3"),
        ("npm(into=/n) express", "the tree has no node", "apt nodejs"),
    ],
)
def test_a_tree_without_the_package_manager_is_told_so(project, statement, lacking, way_out):
    done = project.build(statement)
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert lacking in failed["message"]
    assert way_out in failed["message"]
    assert failed["line"] == 2


def test_include_and_its_paths(project):
    project.write("parts/user.env", 'param who = "nobody"', "run echo $who > /who", "copy data -> /data")
    project.write("parts/data", "from parts")
    done = project.build("include parts/user.env who=me")
    assert done.code == 0, done.err
    assert project.cat("/who") == "me\n"
    assert project.cat("/data") == "from parts\n"


def test_all_errors_of_a_file_come_at_once_with_their_places(project):
    done = project.build("from tar:busybox.tar", "run(netwrok) true", "copy a", "ran x")
    assert done.code == 2
    for text in ("web.env:2:5", "did you mean 'network'?", "web.env:3", "web.env:4:1"):
        assert text in done.err, done.err


class TestOptionsOfRun:
    @pytest.mark.user
    def test_no_network_unless_asked(self, project):
        interfaces = "run grep -c : /proc/net/dev"
        assert project.build(interfaces).printed.strip() == "1"

    @pytest.mark.user
    def test_cache_stays_between_builds_and_out_of_the_image(self, project):
        first = project.build("run(cache=/var/cache/x) echo 1 >> /var/cache/x/n; cat /var/cache/x/n")
        second = project.build("run(cache=/var/cache/x) echo 2 >> /var/cache/x/n; cat /var/cache/x/n")
        assert first.printed == "1\n"
        assert second.printed == "1\n2\n"
        assert "cache" not in project.ls("/var")

    @pytest.mark.user
    def test_secret_is_a_file_and_nowhere_else(self, project):
        value = "tok-8471-xyzzy"
        (project.folder / "token").write_text(value)
        done = project.build(
            "run(secret=token) cat /run/secrets/token; wc -c < /run/secrets/token",
            options=("--secret", "token=token"),
        )
        assert done.code == 0, done.err
        assert "********" in done.printed
        assert str(len(value)) in done.printed
        (project.folder / "token").unlink()
        for where, _, names in os.walk(project.folder.parent):
            for name in names:
                path = Path(where, name)
                if path.is_file() and name != "busybox.tar":
                    assert value.encode() not in path.read_bytes(), path

    def test_a_missing_secret_says_how_to_give_it(self, project):
        done = project.build("run(secret=token) true")
        assert done.code == 2
        assert "--secret token=FILE" in done.err
        assert done.ran == []

    @pytest.mark.user
    def test_mount_shows_a_folder_read_only_and_its_content_counts(self, project):
        project.write("src/a", "1")
        recipe = ("run(mount=src:/src) cat /src/a > /got; touch /src/b || echo refused",)
        done = project.build(*recipe)
        assert "refused" in done.printed
        assert "src" not in project.ls("/")
        project.write("src/a", "2")
        assert project.build(*recipe).ran != []
        assert project.cat("/got") == "2\n"

    def test_mount_depends_on_what_it_shows_though_it_is_never_copied(self, project):
        project.write(".dockerignore", "**/*.key", "**/*.tar")  # the base counts for no copy, either
        project.write("src/a", "1")
        project.write("src/own.key", "first")
        recipe = ("run(mount=src:/src, mount=src/own.key:/key) cat /src/own.key /key > /got",)
        assert project.build(*recipe).code == 0
        project.write("src/own.key", "second")
        assert project.build(*recipe).ran != []
        assert project.cat("/got") == "second\nsecond\n"
        for path in project.store.rglob("*"):
            # Neither is it kept among what the image was built of: the step alone has written it down.
            assert not path.is_file() or path.read_bytes() not in (b"first\n", b"second\n"), path

    @pytest.mark.user
    def test_user_workdir_and_shell(self, project):
        done = project.build("adduser app uid=77", "run(user=app, workdir=/var/tmp, shell=/bin/ash) id -u; pwd")
        assert done.printed == "77\n/var/tmp\n" or "0\n/var/tmp\n" in done.printed

    @pytest.mark.user
    def test_timeout_ends_the_step_with_all_its_processes(self, project):
        done = project.build("run(timeout=1s) sleep 4711 & sleep 4712")
        assert done.code == 1
        assert "longer than timeout=1s" in done.of("step-failed")[0]["message"]
        plain = project.command("build", "web.env", "--progress", "plain").err
        assert "longer than timeout=1s" in plain
        assert "memory" not in plain


@pytest.mark.user
def test_json_of_ls_tells_kind_mode_owner_and_digest(project):
    project.build("run echo 1 > /a; chmod 4711 /a; mkfifo /p")
    entries = project.ls("/")
    assert entries["a"]["kind"] == "file"
    assert entries["a"]["mode"] == "4711"
    assert entries["a"]["digest"].startswith("sha256:")
    assert entries["p"]["kind"] == "named pipe"
    assert json.dumps(entries["bin"])

"""Mistakes on the command line: one clear error, a way out, and exit code 2 unless it is the command that fails."""

import pytest

pytestmark = pytest.mark.namespaces


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("run", "nothing"), 2, "there is no image 'nothing'"),
        (("run", "weB"), 2, "did you mean 'web'?"),
        (("run", "web", "--", "no-such-program"), 127, "no program 'no-such-program'"),
        (("run", "web", "--", "/etc/passwd"), 126, "/etc/passwd can't be run"),
        (("run", "web", "-u", "nobody"), 1, "no user 'nobody'"),
        (("run", "web", "-w", "/nowhere"), 2, "/nowhere does not exist in the tree"),
        (("run", "web", "-v", "x"), 2, "'x' is not a valid HOST:ENV"),
        (("cat", "web", "/etc"), 2, "is a directory"),
        (("cat", "web", "/etc/none"), 2, "envbuild ls web /etc"),
        (("show", "ffffff"), 2, "no image"),
        (("tag", "web", "bad name"), 2, "can't name an image"),
        (("untag", "web:none"), 2, "no image 'web:none'"),
        (("build", "none.env"), 2, "no recipe 'none.env'"),
        (("build", "web.env", "--jobs", "0"), 2, "'0' is not a valid number of steps"),
        (("build", "web.env", "--set", "x"), 2, "'x' is not a valid NAME=VALUE"),
        (("build", "web.env", "--stage", "x"), 2, "no stage 'x'"),
        (("bild",), 2, "did you mean 'build'?"),
        (("shell", "--failed"), 2, "no build failed"),
        ((), 2, "usage: envbuild COMMAND"),
    ],
)
def test_mistakes_get_one_clear_error(web, words, code, text):
    done = web.command(*words)
    assert done.code == code
    assert text in done.err


def test_an_image_that_was_not_built_yet_is_made_by_its_recipe(web):
    web.write("shop.env", "from tar:busybox.tar")
    for words in (("run", "shop"), ("show", "shop")):
        done = web.command(*words)
        assert (done.code, done.err) == (
            2,
            "error: there is no image 'shop'\nhint: its recipe makes it: envbuild build shop.env\n",
        )


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("run", "web", "--memory", "5x"), "--memory: '5x' is not a valid size", "--memory 512m, --memory 2g"),
        (("run", "web", "--memory", "0"), "--memory: '0' is not a valid size", "--memory 512m, --memory 2g"),
        (("run", "web", "--cpus", "nan"), "--cpus: 'nan' is not a valid number of processors", "--cpus 1.5"),
        (("run", "web", "-e", "=x"), "-e: '=x' is not a valid NAME or NAME=VALUE", "-e DEBUG=1"),
        (("run", "web", "--label", "=x"), "--label: '=x' is not a valid NAME=VALUE", "--label team=web"),
        (
            ("run", "web", "--restart", "often"),
            "--restart: 'often' is not a valid rule",
            "never, always, on-failure or on-failure:3",
        ),
        (("run", "web", "-v", ".:/"), "-v .:/: '/' is not a valid mount target", "/srv/data"),
        (("run", "web", "-p", "80/sctp"), "-p 80/sctp: 'sctp' is not a valid protocol", "53/udp, 80/tcp"),
        (("run", "web", "--cpus", "0"), "--cpus: '0' is not a valid number of processors", "--cpus 1.5"),
        (("run", "web", "--cpus", "-1"), "--cpus: '-1' is not a valid number of processors", "--cpus 1.5"),
        (("run", "web", "--pids", "0"), "--pids: '0' is not a valid number of processes", "--pids 100"),
        (
            ("run", "web", "--memory", "512"),
            "--memory: '512' is not a valid size of at least 1m",
            "--memory 512m, --memory 2g",
        ),
        (("run", "web", "-e", "A B=1"), "-e: 'A B=1' is not a valid NAME or NAME=VALUE", "-e DEBUG=1"),
        (("run", "web", "-e", '"A=1"'), "-e: '\"A=1\"' is not a valid NAME or NAME=VALUE", "-e DEBUG=1"),
        (("run", "--network", "bridge", "web"), "--network bridge: that is docker's network", "--network private"),
        (("build", "web.env", "--jobs", "0"), "--jobs: '0' is not a valid number of steps", "--jobs 2"),
        (("build", "web.env", "--set", "x"), "--set: 'x' is not a valid NAME=VALUE", "--set python=3.12"),
        (
            ("build", "web.env", "--secret", "/"),
            "--secret: '/' is not a valid NAME or NAME=FILE",
            "--secret token=FILE",
        ),
        (
            ("build", "web.env", "--output-limit", "much"),
            "--output-limit: 'much' is not a valid size",
            "--output-limit 500m",
        ),
        (("gc", "--keep", "-1"), "--keep: '-1' is not a valid number of entries", "--keep 3"),
        (("gc", "--days", "nan"), "--days: 'nan' is not a valid number of days", "--days 30"),
        (("gc", "--budget", "x"), "--budget: 'x' is not a valid size", "--budget 500m, --budget 20g"),
        (("kill", "--signal", "NO", "web"), "--signal: 'NO' is not a valid signal", "--signal HUP, --signal 9"),
    ],
)
def test_a_value_that_an_option_can_not_have(web, words, error, hint):
    done = web.command(*words)
    assert (done.code, done.out, done.err) == (2, "", f"error: {error}\nhint: as in: {hint}\n")


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("SOURCE_DATE_EPOCH", "now", "SOURCE_DATE_EPOCH: 'now' is not a valid number of seconds since 1970"),
        ("ENVBUILD_SPARSE_LIMIT", "x", "ENVBUILD_SPARSE_LIMIT: 'x' is not a valid size"),
        ("ENVBUILD_FETCH_LIMIT", "x", "ENVBUILD_FETCH_LIMIT: 'x' is not a valid size"),
    ],
)
def test_a_value_that_a_variable_can_not_have(web, variable, text, error):
    web.environment[variable] = text
    done = web.command("build", "web.env")
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: {error}")


def test_an_option_that_there_is_not(project):
    done = project.command("ps", "--al", "--no-such-option")
    assert done.code == 2
    assert "unrecognized arguments: --al --no-such-option" in done.err

"""What a recipe takes from elsewhere and is not there: said at its place, before anything runs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.namespaces
BEFORE = ("from tar:busybox.tar as tools", "run echo of tools > /t", "from scratch", "file /a", "  text")
"""Statements whose steps come first; what is wrong stands in line 6."""


def refused(column: int, source: str, under: str, message: str, hint: str, line: int = 6) -> str:
    """An error as it is shown."""
    place = f"error: {message}\n  --> web.env:{line}:{column}\n   |\n {line} | {source}\n"
    return f"{place}   | {' ' * (column - 1)}{'^' * len(under)} {hint}\n"


@pytest.mark.parametrize(
    ("source", "under", "message", "hint"),
    [
        (
            "copy web.env nothere -> /x/",
            "nothere",
            "'nothere' is not in the folder of the recipe, .",
            "paths are relative to .",
        ),
        ("copy d/*.x -> /x/", "d/*.x", "'d/*.x' is not in the folder of the recipe, .", "paths are relative to ."),
        ("render a.j2 -> /x", "a.j2", "render: a.j2: No such file or directory", "paths are relative to ."),
        (
            "copy(from=image:nothere) /a -> /x",
            "nothere",
            "there is no image 'nothere'",
            "make one first: envbuild build RECIPE.env",
        ),
        ("test(mount=no:/x) true", "no", "'no' is not in the folder of the recipe, .", "paths are relative to ."),
        (
            "pip(into=/v) -r reqs.txt",
            "reqs.txt",
            "pip -r: reqs.txt: No such file or directory",
            "paths are relative to .",
        ),
        (
            "env A=${B:-x} C=${B}",
            "${B}",
            "${B} is neither a parameter nor set in the environment of this stage so far",
            "set it first (env B=...), or write \\${B} for the text itself",
        ),
        (
            "unset env:PORT",
            "env:PORT",
            "unset env:PORT: the stage has no such fact at this point",
            "drop the word, or look at what the base brings with: envbuild show",
        ),
    ],
)
def test_what_is_not_there_is_said_with_its_place_before_the_first_step(project, source, under, message, hint):
    project.write("d/file")
    done = project.build(*BEFORE, source)
    assert (done.code, done.ran) == (2, [])
    assert done.err == refused(source.rindex(under) + 1, source, under, message, hint)


def test_a_trial_update_looks_for_it_too(project):
    project.write("web.env", *BEFORE, "copy nothere -> /x")
    hint = "paths are relative to ."
    message = refused(6, "copy nothere -> /x", "nothere", "'nothere' is not in the folder of the recipe, .", hint)
    for recipes in (("web.env",), ("web.env", "web.env")):  # of several, each is built in a child process
        done = project.command("update", "--dry-run", *recipes)
        assert (done.code, message in done.err) == (2, True), done.err


def test_a_base_that_is_not_there_too(project):
    for base, message, hint in (
        ("image:no", "there is no image 'no'", "make one first: envbuild build RECIPE.env"),
        ("tar:no.tar", "'no.tar' is not in the folder of the recipe, .", "paths are relative to ."),
    ):
        source = f"from {base} as other"
        done = project.build(*BEFORE, source)
        assert (done.code, done.ran) == (2, [])
        assert done.err == refused(6, source, base, message, hint)


def test_a_stage_on_a_stage_is_looked_at_before_that_one_runs(project):
    lines = ("from tar:busybox.tar as tools", "env A=1", "run echo of tools > /t", "from tools", "env B=${A}")
    done = project.build(*lines, "env C=${D}")
    assert (done.code, done.ran) == (2, [])
    assert "\n  --> web.env:6:7\n" in done.err
    assert project.build(*lines).code == 0
    # Of several recipes each is built in a child process.
    project.write("web.env", *lines, "env C=${D}")
    done = project.command("update", "web.env", "web.env")
    assert (done.code, "\n  --> web.env:6:7\n" in done.err) == (2, True), done.err


def test_what_another_stage_lacks_is_said_with_its_place_when_that_stage_is_known(project):
    source = "copy(from=tools) /t /nothere -> /x/"
    done = project.build(*BEFORE, source)
    assert (done.code, {*BEFORE[:2], "from scratch"} <= {*done.ran}) == (2, True)
    hint = "look at what it has with: envbuild ls tools /"
    assert done.err == refused(21, source, "/nothere", "copy: tools has no '/nothere'", hint)


def test_an_error_in_an_included_file_has_its_place_there(project):
    project.write("part/web.env", "# a comment", "", "pip(into=/v)", "    six  # one", "    -r nothere")
    done = project.build(*BEFORE, "include part/web.env")
    assert (done.code, done.ran) == (2, [])
    assert (
        "\n  --> part/web.env:5:8\n   |\n 5 |     -r nothere\n   |        ^^^^^^^ paths are relative to part\n"
        in done.err
    )


def test_an_address_is_asked_for_before_the_first_step_and_what_it_has_only_then_taken(project):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            # One that says of /odd that it is not there, if nothing of it is asked for.
            there = self.path == "/x" or (self.path == "/odd" and self.command == "GET")
            self.send_response(200 if there else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        source = f"fetch {url}/gone -> /x"
        done = project.build(*BEFORE, source)
        assert (done.code, done.ran) == (1, [])
        hint = "check the address and the network, and build again"
        message = f"fetch: {url}/gone: the server answered 404 Not Found"
        assert done.err == refused(7, source, f"{url}/gone", message, hint)
        done = project.build(*BEFORE, f"fetch {url}/x -> /x", f"fetch {url}/odd -> /odd")
        assert done.code == 0, done.err
        assert asked[2:] == ["HEAD /x", "HEAD /odd", "GET /odd", "GET /x", "GET /odd"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    done = project.build(*BEFORE, f"fetch {url}/y -> /y")
    assert (done.code, done.ran) == (1, [])
    assert f"error: fetch: {url}/y: " in done.err
    assert "Connection refused\n  --> web.env:6:7\n" in done.err

"""What short commands import: each module costs start-up time."""

import pytest

pytestmark = pytest.mark.namespaces
HEAVY = ("lark", "rich", "jinja2", "yaml", "asyncio", "logging", "subprocess", "dataclasses", "tarfile")


def test_a_rebuild_with_nothing_to_do_imports_nothing_heavy(web):
    script = (
        "import sys\n"
        "from envbuild.cli.main import run\n"
        "code = run(['build', 'web.env'])\n"
        "heavy = ('lark', 'rich', 'jinja2', 'yaml', 'asyncio', 'logging', 'subprocess', 'dataclasses', 'tarfile')\n"
        "heavy += ('argparse', 're', 'enum', 'json', 'typing', 'sqlite3', 'threading', 'socket')\n"
        # Of which the last two come by collections.abc, too: what only annotations need is not loaded.
        "heavy += ('contextlib', 'functools', 'collections')\n"
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    web.build()
    done = web.python(script)
    assert done.stdout.strip() == "0 []", done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("tag", "web", "web:other"),
        ("ps",),
        ("ps", "--all", "--format", "json"),
        ("run", "web", "--", "true"),
        ("run", "-d", "--rm", "web", "--", "true"),
    ],
)
def test_a_short_command_imports_nothing_heavy(web, words):
    script = (
        "import sys\n"
        "from envbuild.cli.main import run\n"
        "code = run(sys.argv[2:])\n"
        "print(code, [name for name in sys.argv[1].split() if name in sys.modules])"
    )
    done = web.python(script, " ".join(HEAVY), *words)
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


def test_diff_imports_nothing_heavy_but_what_runs_git(web):
    script = (
        "import sys\n"
        "from envbuild.cli.main import run\n"
        "code = run(['diff', 'web', 'web'])\n"
        "print(code, [name for name in sys.argv[1].split() if name in sys.modules])"
    )
    done = web.python(script, " ".join(HEAVY))
    assert done.stdout.splitlines()[-1] == "0 ['subprocess']", done.stdout + done.stderr


def test_exec_loads_nothing_that_starts_an_instance(web):
    assert web.command("run", "-d", "--name", "job", "web", "--", "sleep", "1000").code == 0
    script = (
        "import sys\n"
        "from envbuild.cli.main import run\n"
        "code = run(['exec', 'job', '--', 'true'])\n"
        "others = ('envbuild.store.store', 'envbuild.instances.launch', 'envbuild.instances.supervisor')\n"
        "print(code, [name for name in (*sys.argv[1].split(), *others) if name in sys.modules])"
    )
    try:
        done = web.python(script, " ".join(HEAVY))
        assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    finally:
        web.command("rm", "--force", "job")

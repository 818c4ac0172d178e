"""Statements in one line."""

import pytest

from envbuild.language.one_line import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run make all", "run make all"),
        ("run make \\\n    -C src \\\n    all", "run make -C src all"),
        # A script and a content are never joined: as one line they would mean something else.
        ("run\n    make\n    make test", "run make …"),
        ("run\n    make", "run make"),
        ("run(network, cache=/c)\n    make\n    make test", "run(network, cache=/c) make …"),
        ('run(mount="a)b:/x")\n    make\n    make test', 'run(mount="a)b:/x") make …'),
        ("run cat > /x <<EOF\n    one\n    EOF", "run cat > /x <<EOF …"),
        ("run cd src; \\\n    make\n    make test", "run cd src; make …"),
        ("run (cd src; make)\n    make test", "run (cd src; make) …"),
        ("file /etc/x\n    one\n    two", "file /etc/x …"),
        ("health\n    true", "health true"),
        # Words are words, on however many lines.
        ("apt curl\n    git\n\n    make", "apt curl git make"),
        ("apt\n    curl # for the check\n    # and\n# more\n    git", "apt curl git"),
        ('env\n    A="x # y"\n    B=2', 'env A="x # y" B=2'),
        ("copy  app/ ->\t/app", "copy app/ -> /app"),
        ("from debian:bookworm as wheels", "from debian:bookworm as wheels"),
        ("", ""),
        ("run(", "run("),
        ("\\", ""),
    ],
)
def test_a_statement_in_one_line_reads_as_it_does(text, line):
    assert one_line(text) == line

"""What the package managers of a merged tree say of it: stood in for by scripts, as the real ones need a Debian."""

import pytest

pytestmark = pytest.mark.namespaces

HALVES = "[ -e /half1 ] && [ -e /half2 ]"
DPKG = "[ -e /left ] && [ -e /right ] && echo 'left and right do not go together'; [ ! -e /odd ] || echo 'odd as ever'"
APT = f"touch /changed; if [ -e /broken ] || {{ {HALVES}; }}; then echo 'E: Unmet dependencies'; exit 100; fi"
PIP = f"if [ $2 != pip ] || {{ {HALVES}; }}; then echo 'a requires b'; exit 1; fi"


@pytest.fixture
def sides(project):
    """Builds base, left and right, each with its files, on a tree that has the programs."""
    programs = {"usr/bin/dpkg": DPKG, "usr/bin/apt-get": APT, "opt/venv/bin/python": PIP}
    for path, text in programs.items():
        project.write(f"root/{path}", "#!/bin/sh", text).chmod(0o755)
    for path in ("var/lib/dpkg/status", "opt/venv/pyvenv.cfg", "opt/venv/lib/site-packages/pip/__init__.py"):
        project.write(f"root/{path}")

    def sides(left, right, base=()):
        for name, files in (("base", base), ("left", (*base, *left)), ("right", (*base, *right))):
            done = project.build(
                "from tar:busybox.tar", "copy root/ -> /", *map("file {}\n  x".format, files), name=f"{name}.env"
            )
            assert done.code == 0, done.out + done.err
        return project.command("merge", "base", "left", "right")

    return sides


def test_nothing_is_wrong(sides, project):
    done = sides(["/left"], ["/other"])
    assert (done.code, "3 checks passed: dpkg --audit, apt-get check, pip check in /opt/venv" in done.out) == (0, True)
    assert "changed" not in project.ls("/", "left:merged")


def test_what_is_found_keeps_the_image_from_being_tagged(sides, project):
    done = sides(["/left"], ["/right"])
    line = "    dpkg --audit: it found something\n        left and right do not go together\n"
    assert (done.code, line in done.out, "is not tagged" in done.out) == (1, True, True), done.out
    assert project.command("show", "left:merged").code != 0
    assert project.command("merge", "base", "left", "right", "--no-verify").code == 0


def test_an_exit_code_is_enough(sides):
    done = sides(["/half1"], ["/half2"])
    assert (done.code, "apt-get check: exit code 100" in done.out, "a requires b" in done.out) == (1, True, True)


@pytest.mark.parametrize("side", [0, 1])
def test_what_a_side_had_already_is_only_told(sides, side):
    files = [["/left"], ["/other"]]
    files[side] += ["/odd", "/broken"]
    done = sides(*files)
    assert done.code == 0, done.out
    assert "dpkg --audit said so before: odd as ever" in done.out
    assert "apt-get check said so before: E: Unmet dependencies" in done.out

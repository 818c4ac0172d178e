"""A real upgrade, told as a reviewer wants it: a security update, a Python package, a file changed by hand."""

import json
import subprocess

import pytest

from tests.packages.conftest import PYTHON

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
SMALL_LIBRARIES = ("libpng16-16", "libexpat1", "libtiff6", "libxslt1.1", "libtasn1-6", "libyaml-0-2", "bzip2", "patch")


def two_versions() -> tuple[str, str, str]:
    """A package that the mirror has in two versions, the older one first."""
    for name in SMALL_LIBRARIES:
        done = subprocess.run(["apt-cache", "madison", name], capture_output=True, text=True, check=False)
        lines = [line.split("|") for line in done.stdout.splitlines() if "Packages" in line]
        shown = [line for line in lines if "bookworm/" in line[2] or "security" in line[2]]
        versions = list(dict.fromkeys(line[1].strip() for line in shown))
        if len(versions) > 1:
            return name, versions[-1], versions[0]
    pytest.skip("the mirror has none of these packages in two versions")


@pytest.mark.nightly  # a minute: two real builds; tests/history has each part
def test_the_summary_of_a_real_upgrade_fits_a_screen_and_names_exactly_what_was_done(debian):
    name, old, new = two_versions()
    debian.write("app.conf", "workers = 2")
    lines = [f"apt {name}={old}", "pip(into=/opt/venv) six==1.16.0 idna==3.4", "copy app.conf -> /etc/app.conf"]
    done = debian.build(*PYTHON, *lines)
    assert done.code == 0, done.out
    debian.write("app.conf", "workers = 4")
    lines = [f"apt {name}={new}", "pip(into=/opt/venv) six==1.17.0 idna==3.4", "copy app.conf -> /etc/app.conf"]
    done = debian.build(*PYTHON, *lines)
    assert done.code == 0, done.out
    difference = debian.command("diff", "web")
    assert difference.code == 1
    assert len(difference.out.splitlines()) <= 24
    report = json.loads(debian.command("diff", "web", "--format", "json").out)
    packages = [
        (package["kind"], package["name"].partition(":")[0], package["old"], package["new"])
        for package in report["packages"]
    ]
    assert packages == [("dpkg", name, old, new), ("python", "six", "1.16.0", "1.17.0")]
    # The time of a copied file follows from its content.
    assert [(change["path"], change["what"]) for change in report["unexplained"]] == [
        ("/etc/app.conf", ["content", "time"])
    ]
    assert report["facts"] == []
    assert report["times"] == 0
    why = json.loads(debian.command("why", "web", "/opt/venv/bin/python3", "--format", "json").out)
    assert why["touches"][-1]["text"].startswith("pip(into=/opt/venv)")
    module = "/opt/venv/lib/python3.11/site-packages/six.py"
    why = json.loads(debian.command("why", "web", module, "--format", "json").out)
    assert why["package"] == {"kind": "python", "name": "six", "version": "1.17.0"}
    (entry, *_) = json.loads(debian.command("log", "web", "--format", "json").out)
    assert f"upgraded {name} {new}, six 1.17.0" in entry["changed"]
    assert "/etc/app.conf" in entry["changed"]
    assert debian.command("verify", "web").code == 0

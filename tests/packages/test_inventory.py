"""What a tree holds, and the bills of materials."""

import io
import json
import re
import subprocess
import sys
import tarfile

import pytest

from envbuild.cli.commands.packages import is_vendored
from tests.conftest import Project

pytestmark = pytest.mark.namespaces

STATUS = """\
Package: libthing1
Status: install ok installed
Architecture: amd64
Version: 2:1.0-3+b1
Source: thing (1.0-3)
Homepage: https://thing.test/
Description: a thing
 with more lines

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1.0
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ and Expat

Files: odd/*
License: my-own-terms
"""
METADATA = "Metadata-Version: 2.1\nName: Alpha_Beta\nVersion: 1.2\nClassifier: License :: OSI Approved :: MIT License\n"
FILES = {
    "var/lib/dpkg/status": STATUS,
    "usr/share/doc/libthing1/copyright": COPYRIGHT,
    "etc/os-release": 'ID=debian\nVERSION_CODENAME="bookworm"\n',
    "opt/venv/lib/python3.11/site-packages/alpha_beta-1.2.dist-info/METADATA": METADATA,
    "src/somewhere/own.egg-info/PKG-INFO": METADATA,
    "srv/app/node_modules/@scope/part/package.json": '{"name": "@scope/part", "version": "3.0.0", "license": "ISC"}',
    "srv/app/node_modules/odd/package.json": '{"name": "odd", "version": "1.0.0", "licenses": [{"type": "My own"}]}',
    "srv/app/node_modules/odd/lib/package.json": '{"name": "inner", "version": "0.0.0"}',
    "srv/app/node_modules/broken/package.json": "{",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A project with an image, of which these tests only read."""
    folder = tmp_path_factory.mktemp("project")
    with tarfile.open(folder / "root.tar", "w") as archive:
        for path, text in FILES.items():
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(text), 1_700_000_000
            archive.addfile(info, io.BytesIO(text.encode()))
    project = Project(folder, tmp_path_factory.mktemp("store") / "store")
    done = project.build("from tar:root.tar", "file /made", "    x")
    assert done.code == 0, done.out
    return project


def test_packages_are_read_from_the_tree(image):
    listed = json.loads(image.command("packages", "web", "--format", "json").out)
    (broken,) = [entry for entry in listed if entry["bad"]]
    assert (broken["path"], broken["bad"]) == ("/srv/app/node_modules/broken/package.json", "it is not JSON")
    packages = {entry["name"]: entry for entry in listed if not entry["bad"]}
    assert packages.keys() == {"libthing1", "Alpha_Beta", "@scope/part", "odd"}
    thing = packages["libthing1"]
    assert (thing["kind"], thing["version"], thing["architecture"]) == ("dpkg", "2:1.0-3+b1", "amd64")
    assert thing["licences"] == ["GPL-2.0-or-later", "MIT", "my-own-terms"]
    assert thing["url"] == "pkg:deb/debian/libthing1@2%3A1.0-3%2Bb1?arch=amd64&distro=bookworm"
    assert packages["Alpha_Beta"]["url"] == "pkg:pypi/alpha-beta@1.2"
    assert packages["Alpha_Beta"]["licences"] == ["MIT"]
    assert packages["@scope/part"]["url"] == "pkg:npm/%40scope/part@3.0.0"
    table = image.command("packages", "web", "--kind", "python").out.splitlines()
    assert len(table) == 2
    assert table[1].split() == ["python", "Alpha_Beta", "1.2", "/opt/venv/lib/python3.11/site-packages"]
    licences = image.command("packages", "web", "--licences").out
    assert re.search(r"^dpkg +libthing1 +2:1\.0-3\+b1 +GPL-2\.0-or-later, MIT, my-own-terms$", licences, re.MULTILINE)
    command = f"stty cols 60; {sys.executable} -m envbuild packages web --licences --no-pager"
    seen = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=image.folder, env=image.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    assert "libthing1" in seen
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 60 for line in seen.splitlines()), seen


def test_a_copy_inside_of_another_package_is_told_from_a_package():
    assert is_vendored("/srv/node_modules/a/node_modules/b/package.json")
    assert is_vendored("/v/lib/python3.11/site-packages/setuptools/_vendor/wheel-1.dist-info/METADATA")
    assert not is_vendored("/srv/node_modules/b/package.json")
    assert not is_vendored("/v/lib/python3.11/site-packages/wheel-1.dist-info/METADATA")


def test_cyclonedx_is_valid_and_always_the_same(image):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = image.command("sbom", "web").out
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert image.command("sbom", "web").out == text
    plain = json.loads(text)
    parts = {component["name"]: component for component in plain["components"]}
    assert parts["libthing1"]["purl"].startswith("pkg:deb/debian/libthing1@")
    names = [next(iter(license["license"].values())) for license in parts["libthing1"]["licenses"]]
    assert sorted(names) == ["GPL-2.0-or-later", "MIT", "my-own-terms"]
    assert plain["metadata"]["component"]["version"].startswith("sha256:")


def test_spdx_is_valid_and_always_the_same(image):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    path = image.folder / "web.spdx.json"
    assert image.command("sbom", "web", "--format", "spdx", "-o", str(path)).code == 0
    assert [message.validation_message for message in validate_full_spdx_document(parse_file(str(path)))] == []
    assert image.command("sbom", "web", "--format", "spdx").out == path.read_text()
    plain = json.loads(path.read_text())
    (thing,) = [package for package in plain["packages"] if package["name"] == "libthing1"]
    assert thing["licenseDeclared"] == "GPL-2.0-or-later AND MIT AND LicenseRef-my-own-terms"
    assert plain["hasExtractedLicensingInfos"][0]["licenseId"].startswith("LicenseRef-")


def test_a_file_that_can_not_be_written_is_told(image):
    done = image.command("sbom", "web", "-o", "/no/such/folder/x")
    assert done.code == 2
    assert "/no/such/folder/x" in done.err

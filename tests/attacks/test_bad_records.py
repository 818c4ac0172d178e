"""An image that wants to hide what it holds: one record that can't be read must not end the list of its packages."""

import io
import json
import tarfile
from itertools import zip_longest

import pytest

from tests.attacks.limited import limited
from tests.conftest import Project

pytestmark = pytest.mark.namespaces

GOOD = "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n"
SITE = "usr/lib/python3/dist-packages"
MODULES = "srv/node_modules"
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\nText\n"

BAD = {
    "empty-status": ("var/lib/dpkg/status", "Package: bad\nStatus:\nVersion: 1.0\n\n" + GOOD.format(name="good")),
    "no-status": ("var/lib/dpkg/status", "Package: bad\nVersion: 1.0\n\n" + GOOD.format(name="good")),
    "stray-continuation": ("var/lib/dpkg/status", " stray\n\n" + GOOD.format(name="good")),
    "continues-no-field": ("var/lib/dpkg/status", "Package bad\n more\n\n" + GOOD.format(name="good")),
    "name-with-slashes": (
        "var/lib/dpkg/status",
        GOOD.format(name="../../../../etc/shadow") + GOOD.format(name="good"),
    ),
    "huge-name": ("var/lib/dpkg/status", GOOD.format(name="x" * 100_000) + GOOD.format(name="good")),
    "escapes": ("var/lib/dpkg/status", GOOD.format(name="\x1b]0;title\x07") + GOOD.format(name="good")),
    "deep-json": (f"{MODULES}/bad/package.json", "[" * 200_000),
    "deep-maps": (f"{MODULES}/bad/package.json", '{"a":' * 200_000),
    "digits": (f"{MODULES}/bad/package.json", '{"name": "bad", "version": ' + "9" * 10_000 + "}"),
    "odd-version": (f"{MODULES}/bad/package.json", '{"name": "bad", "version": {"a": 1}}'),
    "odd-name": (f"{MODULES}/bad/package.json", '{"name": "/", "version": "1"}'),
    "surrogate-name": (f"{MODULES}/bad/package.json", '{"name": "\\udcff", "version": "1"}'),
    "many-bytes": (f"{MODULES}/bad/package.json", " " * (5 << 20)),
    "mime-name": (f"{SITE}/bad-1.dist-info/METADATA", "Name: =?utf-8?q?bad=0A?=\nVersion: 1.0\n"),
    "folded-name": (f"{SITE}/bad-1.dist-info/METADATA", "Name: bad\n name\nVersion: 1.0\n"),
    "stray-metadata": (f"{SITE}/bad-1.dist-info/METADATA", " stray\nName: bad\nVersion: 1.0\n"),
    "unicode-version": (f"{SITE}/bad-1.dist-info/METADATA", "Name: bad\nVersion: \u0661\n"),
}

NAMED_BY_FOLDER = ("odd-name", "surrogate-name")
"""The folder of a Node package is its name for `diff`, whatever the record calls it: these are not bad there."""


def _tar(path, files: dict[str, str | bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            archive.addfile(info, io.BytesIO(data))


def _whole(files: dict[str, str | bytes]) -> dict[str, str | bytes]:
    """Good records of all kinds, and these."""
    return {
        "var/lib/dpkg/status": GOOD.format(name="good"),
        f"{SITE}/fine-1.dist-info/METADATA": METADATA.format(name="fine"),
        f"{MODULES}/well/package.json": '{"name": "well", "version": "1.0.0"}',
        **files,
    }


def _build(project: Project, name: str, files: dict[str, str | bytes]) -> None:
    _tar(project.folder / f"{name}.tar", files)
    done = project.build(f"from tar:{name}.tar", name=f"{name}.env")
    assert done.code == 0, done.out


def _images() -> dict[str, tuple[str, ...]]:
    """Return which of BAD an image holds together: all of them, no two at the same path, in as few images as that
    takes."""
    by_path: dict[str, list[str]] = {}
    for case, (path, _) in BAD.items():
        by_path.setdefault(path, []).append(case)
    together = zip_longest(*by_path.values())
    images = [tuple(case for case in cases if case is not None) for cases in together]
    return {"+".join(cases): cases for cases in images}


IMAGES = _images()


@pytest.mark.parametrize("image", IMAGES)
def test_a_bad_record_is_told_and_the_rest_is_shown(project: Project, image: str):
    files = dict(BAD[case] for case in IMAGES[image])
    paths = sorted(f"/{path}" for path in files)
    named = [case for case in IMAGES[image] if case in NAMED_BY_FOLDER]
    _build(project, "old", {"a": "1"})
    _build(project, "web", _whole(files))

    listed = json.loads(project.command("packages", "web", "--format", "json").out)
    assert {record["name"] for record in listed if not record["bad"]} == {"good", "fine", "well"}
    assert sorted(record["path"] for record in listed if record["bad"]) == paths
    shown = project.command("packages", "web")
    assert shown.code == 0
    head, _, listed = shown.out.partition("BAD RECORD")
    for path in paths:
        assert path not in head
        assert f"  {path}  " in listed
    assert "\x1b" not in shown.out

    report = json.loads(project.command("diff", "old", "web", "--format", "json").out)
    names = {record["name"].removesuffix(":amd64") for record in report["packages"]}
    assert names == {"good", "fine", "well", *(["bad"] if named else [])}
    noted = sorted(f"/{BAD[case][0]}" for case in IMAGES[image] if case not in named)
    assert sorted(record["path"] for record in report["bad_records"]) == noted


def test_all_forms_note_bad_records_beside_the_rest(project: Project):
    """Of the image that has one in each of the places. What is bad is decided before, for all forms alike."""
    image = max(IMAGES.values(), key=len)
    files = dict(BAD[case] for case in image)
    assert len(files) == len({path for path, _ in BAD.values()})
    paths = sorted(f"/{path}" for path in files)
    _build(project, "old", {"a": "1"})
    _build(project, "web", _whole(files))

    plain = json.loads(project.command("sbom", "web").out)
    assert {record["name"] for record in plain["components"]} == {"good", "fine", "well"}
    notes = plain["metadata"]["component"]["properties"]
    assert {record["name"] for record in notes} == {"envbuild:bad-record"}
    assert sorted(record["value"].partition(" (")[0] for record in notes) == paths

    plain = json.loads(project.command("sbom", "web", "--format", "spdx").out)
    assert {record["name"] for record in plain["packages"]} == {"web", "good", "fine", "well"}
    notes = next(record for record in plain["packages"] if record["SPDXID"] == "SPDXRef-Image")["annotations"]
    assert sorted(record["comment"].partition(" (")[0] for record in notes) == [
        f"envbuild:bad-record: {path}" for path in paths
    ]

    for form in ("text", "markdown", "html"):
        done = project.command("diff", "old", "web", "--format", form)
        assert done.code == 1, done.err
        assert "good" in done.out
        assert "can't be read" in done.out


def test_a_record_that_fills_the_memory_is_not_read(project: Project):
    """A sparse file of any size costs its writer nothing."""
    done = project.build(
        f"run mkdir -p /{MODULES}/bad /{MODULES}/well /var/lib/dpkg",
        f"run truncate -s 100000000 /{MODULES}/bad/package.json /var/lib/dpkg/status",
        f"file /{MODULES}/well/package.json",
        '    {"name": "well", "version": "1.0.0"}',
    )
    assert done.code == 0, done.out
    _build(project, "old", {"a": "1"})
    for words in (("packages", "web"), ("sbom", "web"), ("diff", "old", "web")):
        done = limited(project, *words, memory=100_000_000)
        assert done.returncode == (1 if words[0] == "diff" else 0), done.stderr
        assert "well" in done.stdout


def test_a_record_of_files_that_is_no_csv_explains_nothing(project: Project):
    def files(version: str) -> dict[str, str | bytes]:
        folder = f"{SITE}/thing-{version}.dist-info"
        return {
            f"{SITE}/thing.py": version,
            f"{folder}/METADATA": f"Name: thing\nVersion: {version}\n",
            f"{folder}/RECORD": f"{'x' * 200_000},,\nthing.py,,\n",
        }

    _build(project, "old", files("1"))
    _build(project, "new", files("2"))
    report = json.loads(project.command("diff", "old", "new", "--format", "json").out)
    assert [(record["name"], record["verb"]) for record in report["packages"]] == [("thing", "upgraded")]
    assert {record["path"] for record in report["bad_records"]} == {
        f"/{SITE}/thing-1.dist-info/RECORD",
        f"/{SITE}/thing-2.dist-info/RECORD",
    }
    assert f"/{SITE}/thing.py" in {record["path"] for record in report["unexplained"]}


def test_licences_and_addresses_of_others_are_no_bombs(project: Project):
    texts = [
        "(" * 50_000,
        "MIT OR " * 20_000 + "MIT",
        "MIT AND (",
        "AND",
        "()",
        "\udcff",
        "LicenseRef-" + "x" * 100_000,
        " " * 100_000 + "and",
    ]
    files: dict[str, str | bytes] = {
        f"{MODULES}/p{number}/package.json": json.dumps(
            {"name": f"p{number}", "version": "1", "license": text, "homepage": "http://x\n\x00 " + text}
        )
        for number, text in enumerate(texts)
    }
    files["var/lib/dpkg/status"] = GOOD.format(name="good")
    files["usr/share/doc/good/copyright"] = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        f"Files: *\nLicense: a{' ' * 200_000}b\n" + " x\n" * 200_000
    )
    _build(project, "web", files)
    for form in ("cyclonedx", "spdx"):
        done = project.command("sbom", "web", "--format", form, timeout=300)
        assert done.code == 0, done.err
        json.loads(done.out)


def test_names_of_files_that_are_not_utf_8_stand_in_all_forms(project: Project):
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    with tarfile.open(project.folder / "web.tar", "w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        data = METADATA.format(name="fine").encode()
        info = tarfile.TarInfo(f"{SITE}/{odd}.dist-info/METADATA")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo(f"{SITE}/{odd}.egg-info/PKG-INFO")
        archive.addfile(info)
    assert project.build("from tar:web.tar").code == 0
    _build(project, "old", {"a": "1"})
    for words in (
        ("packages", "web"),
        ("packages", "web", "--format", "json"),
        ("sbom", "web"),
        ("sbom", "web", "--format", "spdx"),
        ("diff", "old", "web"),
        ("diff", "old", "web", "--format", "json"),
        ("diff", "old", "web", "--format", "markdown"),
        ("diff", "old", "web", "--format", "html"),
    ):
        done = project.command(*words)
        assert "fine" in done.out, done.err

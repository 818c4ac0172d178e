"""Installations that are traced: a change before them that they don't read installs nothing anew."""

from __future__ import annotations

import os

import pytest

from tests.packages.repository import Repository
from tests.packages.wheels import Index

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]


def reused(done) -> list[str]:
    return [event["text"].partition("(")[0] for event in done.of("step-reused")]


@pytest.mark.nightly  # six installations; the way of pip through the same trace is daily
def test_apt_counts_on_a_tree_with_other_files_and_not_with_another_package(debian, server, tmp_path, small_mirror):
    own = Repository(server, tmp_path / "own")
    own.add("own-large", "1.0", files={"usr/share/own-large/noise": os.urandom(5 << 20).hex()})
    script = "#!/bin/sh\nset -e\nls /usr/share/own-large > /var/lib/own-small\n"
    own.add("own-small", "1.0", "own-large", files={"etc/own.conf": "a\n", "DEBIAN/postinst": script})
    own.add("own-other", "1.0")
    apt = f'apt(source="{own.source}") own-small'

    def build(*before: str, options: tuple[str, ...] = ("--trace",)):
        done = debian.build("from image:python", *before, apt, options=options)
        assert done.code == 0, done.out + done.err
        return done

    build("run mkdir /srv/one")
    done = build("run mkdir /srv/other; touch /usr/share/other")
    assert reused(done) == ["apt"]
    assert build("run mkdir /srv/other; touch /usr/share/other", options=("--no-cache",)).image == done.image
    done = build(f'apt(source="{own.source}") own-other')
    assert reused(done) == []
    (explained,) = done.of("step-explained")[-1:]
    assert explained["reasons"][0].startswith("it reads /")
    # A script that lists a directory sees what is new in it.
    done = build("run mkdir -p /usr/share/own-large; touch /usr/share/own-large/new")
    assert reused(done) == []
    assert "new" in debian.cat("/var/lib/own-small").split()


@pytest.mark.usefixtures("compiled_pip")
def test_pip_counts_on_a_tree_with_other_files(debian, server):
    index = Index(server)
    index.add("alpha", "1.0", ("beta",), files={"space/alpha.py": "a = 1\n"})
    index.add("beta", "1.0", files={"space/beta.py": "b = 2\n"})

    def build(before: str, option: str = "--trace"):
        settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        done = debian.build(
            "from image:compiled-pip", before, "pip(into=/v) alpha", "test /v/bin/python -c 'import space.beta'",
            options=(option,), **settings,
        )  # fmt: skip
        assert done.code == 0, done.out + done.err
        return done

    build("run mkdir /srv/one")
    done = build("run mkdir /srv/other")
    assert reused(done) == ["pip", "test /v/bin/python -c 'import space.beta'"]
    assert build("run mkdir /srv/other", "--no-cache").image == done.image

"""`envbuild promote` in a store: a tag comes to name the image of another one, with the way on record."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import Project

pytestmark = pytest.mark.namespaces


@pytest.fixture
def shop(project: Project) -> Project:
    assert project.build("env A=1", "test true", "test echo it works").code == 0
    assert project.command("tag", "web", "web:qa").code == 0
    return project


def log_of(project: Project, name: str) -> list[dict]:
    return json.loads(project.command("log", name, "--format", "json").out)


def test_the_way_is_on_record(shop: Project):
    image = shop.show("web:qa")["digest"]
    done = shop.command("promote", "web:qa", "web:prod")
    assert (done.code, done.out) == (0, f"web:prod: {image.removeprefix('sha256:')[:12]}\n")
    (entry,) = log_of(shop, "web:prod")
    assert (entry["action"], entry["source"], entry["image"]) == ("promote", "web:qa", image)
    assert entry["host"] == os.uname().nodename
    assert entry["checks"] == ["test true", "test echo it works"]
    assert [step["action"] for step in entry["way"]] == ["build", "tag"]
    shown = shop.command("log", "web:prod").out
    assert "promoted from web:qa" in shown
    assert f"{entry['user']}@{entry['host']}" in shown
    assert "passed   test true, test echo it works" in shown
    assert shop.command("promote", "web:prod", "web:live").code == 0
    assert [step["action"] for step in log_of(shop, "web:live")[0]["way"]] == ["build", "tag", "promote"]


def test_nothing_happens_where_it_is_there_already(shop: Project):
    assert shop.command("promote", "web:qa", "web:prod").code == 0
    for source in ("web:qa", "web:prod"):
        again = shop.command("promote", source, "web:prod")
        assert again.code == 0
        assert "already" in again.out
    assert len(log_of(shop, "web:prod")) == 1


def test_a_tag_that_names_something_else_than_expected_stays(shop: Project):
    first = shop.show("web:qa")["digest"].removeprefix("sha256:")
    assert shop.command("promote", "web:qa", "web:prod", "--expect", "none").code == 0
    assert shop.build("env A=2").code == 0
    refused = shop.command("promote", "web:latest", "web:prod", "--expect", "none")
    assert (refused.code, first in refused.err) == (1, True)
    assert shop.command("promote", "web:latest", "web:prod", "--expect", "0" * 12).code == 1
    assert shop.show("web:prod")["digest"] == f"sha256:{first}"
    assert shop.command("promote", "web:latest", "web:prod", "--expect", first[:12]).code == 0
    assert log_of(shop, "web:prod")[0]["replaced"] == first
    assert shop.command("rollback", "web:prod").code == 0
    assert shop.show("web:prod")["digest"] == f"sha256:{first}"


def test_an_immutable_tag_stays_and_other_words_are_refused(shop: Project):
    assert shop.command("tag", "web:qa", "web:prod", "--immutable").code == 0
    assert shop.build("env A=2").code == 0
    assert shop.command("promote", "web:latest", "web:prod").code == 1
    assert shop.command("promote", "web:nothing", "web:prod").code == 2
    assert shop.command("promote", "web:qa", "web:prod", "--expect", "zz").code == 2
    assert "envbuild pull" in shop.command("promote", "localhost:5000/web:qa", "web:prod").err

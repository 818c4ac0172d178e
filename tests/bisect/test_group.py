"""A test that needs a service."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project
from tests.netcat import answer_all, ask

pytestmark = pytest.mark.namespaces


@pytest.fixture
def with_service(project: Project) -> Project:
    """Two environments and a service that says a word."""
    project.build("run echo word > /wanted", "run echo 1 > /other")
    project.build("run echo another > /wanted", "run echo 2 > /other")
    project.build(f"start {answer_all('word', 7000)}", name="teller.env")
    project.write(
        "services.yaml",
        "services:",
        "  teller:",
        "    image: teller",
        "    ports: ['127.0.0.1:7000:7000']",
    )
    return project


TEST = ("sh", "-c", f'test "$({ask("teller", 7000)})" = "$(cat /wanted)"')


@pytest.mark.user
def test_the_test_reaches_the_service_by_its_name(with_service: Project):
    done = with_service.command("bisect", "--group", "services.yaml", "web@{1}", "web", "--format", "json", "--", *TEST)
    assert done.code == 0, done.err
    assert [difference["name"] for difference in json.loads(done.out)["differences"]] == ["/wanted"]
    # Nothing of the group is left, and nothing was remembered: another service would give another answer.
    assert json.loads(with_service.command("ps", "--all", "--format", "json").out) == []
    assert json.loads(done.out)["remembered"] == 0


def test_a_service_that_does_not_start_ends_it_and_leaves_nothing(with_service: Project):
    with_service.build('start ["/nothing"]', name="teller.env")
    done = with_service.command("bisect", "--group", "services.yaml", "web@{1}", "web", "--", *TEST)
    assert (done.code, "service teller" in done.err) == (1, True), done.err
    assert json.loads(with_service.command("ps", "--all", "--format", "json").out) == []


def test_a_service_that_ends_is_told(with_service: Project):
    with_service.build("start sleep 0.2; exit 7", name="teller.env")
    test = ("sh", "-c", "sleep 0.5; test $(cat /wanted) = word")
    done = with_service.command("bisect", "--group", "services.yaml", "web@{1}", "web", "--", *test)
    assert done.code == 0, done.err
    assert "warning: service teller ended before the search did: exit code 7\n" in done.err


def test_a_group_has_a_network_of_its_own(with_service: Project):
    done = with_service.command(
        "bisect", "--group", "services.yaml", "--network", "host", "web@{1}", "web", "--", *TEST
    )
    assert done.code == 2

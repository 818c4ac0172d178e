import pytest

from envbuild.compose.file.load import NoFile, find_file, name_of_folder
from envbuild.compose.file.order import chosen
from envbuild.compose.file.reader import ServiceErrors
from envbuild.errors import UsageError

FILE = """\
services:
  web: {image: x, depends_on: [app, cache]}
  app: {image: x, depends_on: {db: {condition: service_healthy}, trace: {condition: service_started, required: false}}}
  cache: {image: x}
  db: {image: x}
  trace: {image: x, profiles: [debug]}
  shell: {image: x, profiles: [debug, tools], depends_on: [db]}
  report: {image: x, profiles: [tools], depends_on: [trace]}
"""


def names(*words, **more):
    return [service.name for service in chosen(*words, **more)]


def test_each_starts_after_those_that_it_needs(load):
    assert names(load(FILE)) == ["db", "app", "cache", "web"]


def test_services_that_are_named_bring_what_they_need(load):
    assert names(load(FILE), ["app"]) == ["db", "app"]
    assert names(load(FILE), ["shell"]) == ["db", "shell"]


def test_profiles(load):
    assert names(load(FILE), profiles=["debug"]) == ["db", "trace", "app", "cache", "web", "shell"]
    assert names(load(FILE), profiles=["*"])[-1] == "report"
    with pytest.raises(ServiceErrors, match="report needs trace, which only the profile debug has"):
        chosen(load(FILE), profiles=["tools"])


def test_an_unknown_service(load):
    with pytest.raises(UsageError) as raised:
        chosen(load(FILE), ["cahce"])
    assert raised.value.hint == "did you mean 'cache'?"


def test_a_deep_chain_is_no_circle(load):
    lines = [f"  s{n}: {{image: x, depends_on: [s{n + 1}]}}" for n in range(300)]
    group = load("services:\n" + "\n".join(lines) + "\n  s300: {image: x}\n")
    assert names(group)[0] == "s300"


def test_which_file_is_meant(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(NoFile):
        find_file(str(inner))
    (tmp_path / "docker-compose.yml").touch()
    assert find_file(str(inner)) == ("../../docker-compose.yml", ())
    (tmp_path / "a" / "compose.yaml").touch()
    (tmp_path / "a" / "services.yml").touch()
    assert find_file(str(inner)) == ("../services.yml", ("compose.yaml",))


def test_names_of_folders_as_names_of_groups():
    assert [name_of_folder(f"/x/{name}") for name in ("My Shop", "_x.y-Z", "ü")] == ["myshop", "xy-z", "group"]

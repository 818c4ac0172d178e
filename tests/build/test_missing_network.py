"""A step that failed because it had no network is told so, with the statement that it should have been."""

import pytest

from tests.conftest import PYTHON


def hints(done) -> list[str]:
    """The hints of the steps that failed."""
    return [line for event in done.of("step-failed") for line in event["message"].split("\n")[1:]]


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("run wget http://example.org/x", "`run(network)`, or better: `fetch http://example.org/x -> FILE`"),
        ("test wget -O - http://example.org/", "`test(network)`, or better: `fetch http://example.org/ -> FILE`"),
        (
            "run : git clone --depth 1 -b v1 https://example.org/x.git /x; echo 'Could not resolve host'; exit 128",
            "`run(network)`, or better: `fetch git+https://example.org/x.git@v1 -> DIR`",
        ),
        ("run echo 'Temporary failure in name resolution' >&2; exit 1", "`run(network)`"),
        ("run echo curl | grep -q curl && exit 6", "`run(network)`"),
        (
            "run : apt-get install -y \\\n    cowsay curl=7.* && echo 'E: Unable to locate package cowsay'; exit 100",
            "`run(network)`, or better: `apt cowsay curl=7.*`",
        ),
        (
            "run : pip3 install --no-cache-dir 'flask>=3' -r r.txt; echo socket.getaddrinfo; exit 1",
            "`run(network)`, or better: `pip(into=DIR) flask>=3 -r r.txt`",
        ),
        (
            "run : npm ci; echo 'npm ERR! code EAI_AGAIN'; exit 1",
            "`run(network)`, or better: `npm(into=DIR) PACKAGE ...`",
        ),
        (
            "run : mvn -B dependency:go-offline; echo 'java.net.UnknownHostException'; exit 1",
            "`run(network)`, or better: `maven(into=/root/.m2/repository) -r DIR`",
        ),
    ],
)
def test_a_step_that_wanted_a_network(project, line, hint):
    assert hints(project.build(line)) == [f"hint: this step had no network: {hint}"]


@pytest.mark.namespaces
@pytest.mark.parametrize("line", ["run false", "run echo 'no such file'; exit 6", "run exit 100"])
def test_other_failures_have_other_reasons(project, line):
    assert hints(project.build(line)) == []


@pytest.mark.mirror
@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("run apt-get update && apt-get install -y cowsay", "apt cowsay"),
        pytest.param("run apt-get install --yes cowsay curl", "apt cowsay curl", marks=pytest.mark.nightly),
        pytest.param(
            "run mkdir /v; ln -s /usr/share/python-wheels/pip-*.whl /v/pip.whl && PYTHONPATH=/v/pip.whl"
            " python3 -m pip --retries 0 install --target /v flask",
            "pip(into=DIR) flask",
            marks=pytest.mark.nightly,  # pip runs for seconds before it fails; its words are among those above
        ),
    ],
)
def test_the_words_of_debians_own_programs(debian, line, better):
    hint = hints(debian.build(*PYTHON, line))
    assert hint == [f"hint: this step had no network: `run(network)`, or better: `{better}`"]

"""From statements to steps and facts, without a machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.language.load import load_recipe
from envbuild.plan import image_config as facts_module
from envbuild.plan import step as actions
from envbuild.plan.graph import NoSuchStage, stage_number, stages_needed
from envbuild.plan.image_config import Facts, HealthCheck, Program, dump, image_digest, load
from envbuild.plan.planner import plan_stage
from envbuild.plan.stage_facts import NothingToDrop, UndefinedVariable

BASE = Facts("amd64", 1, environment=(("HOMEPAGE", "/h"),), expose=("80/tcp",), labels=(("a", "1"), ("b", "2")))
DEFAULT_PATH = dict(facts_module.DEFAULT_ENVIRONMENT)["PATH"]


def recipe(*lines: str):
    text = "\n".join(lines) + "\n"
    return load_recipe("web.env", {}, arch="amd64", read=lambda path: text.encode())


def plan(*lines: str, base: Facts = BASE):
    return plan_stage(recipe("from scratch", *lines).stages[-1], base)


def test_environment_grows_line_by_line_and_sees_what_the_base_brings():
    planned = plan('env PATH="/opt:${PATH}"', 'env BOTH="${PATH}${HOMEPAGE}"', "run true")
    assert dict(planned.facts.environment) == {
        "HOMEPAGE": "/h",
        "PATH": f"/opt:{DEFAULT_PATH}",
        "BOTH": f"/opt:{DEFAULT_PATH}/h",
    }
    (step,) = planned.steps
    assert dict(step.action.environment)["PATH"] == f"/opt:{DEFAULT_PATH}"


def test_an_unknown_variable_is_named_with_its_place():
    with pytest.raises(UndefinedVariable, match=r"web\.env:2:\d+: \$\{NOTHING\}"):
        plan('env A="${NOTHING}"')


def test_relative_paths_start_in_the_working_directory():
    planned = plan("workdir /srv", "file sub/x", "    text", "copy a -> .", "copy a -> ./b/", "run(workdir=/tmp) true")
    paths = [getattr(step.action, "path", getattr(step.action, "destination", None)) for step in planned.steps[:4]]
    assert paths == ["/srv", "/srv/sub/x", "/srv/", "/srv/b/"]
    assert planned.steps[4].action.workdir == "/tmp"
    assert planned.facts.workdir == "/srv"


def test_user_and_discard_hold_from_their_line_on():
    planned = plan("run echo 1", "user app", 'discard "/log/*"', "run echo 2")
    first, _, second = planned.steps
    assert (first.action.user, second.action.user) == ("", "app")
    assert (first.discard, second.discard) == ((), ("/log/*",))


def test_a_shell_holds_from_its_line_on_for_commands_that_name_none():
    steps = plan("run a", 'shell "/bin/bash -o pipefail -c"', "run b", "run(shell=/bin/dash) c", "test d").steps
    planned = plan("run a", "shell /bin/bash -e", "run b", 'run(shell="/bin/dash -c") c', "test d")
    assert steps[1].action.argv == ("/bin/bash", "-o", "pipefail", "-c", "b")
    argvs = [step.action.argv for step in (*planned.steps, *planned.tests)]
    assert argvs == [
        ("/bin/sh", "-eu", "-c", "a"),
        ("/bin/bash", "-e", "-c", "b"),
        ("/bin/dash", "-c", "c"),
        ("/bin/bash", "-e", "-c", "d"),
    ]


def test_tests_come_after_all_steps_with_the_state_of_their_line():
    planned = plan("run echo 1", "test test -e /x", "user app", "run echo 2")
    assert [step.text for step in planned.steps] == ["run echo 1", "run echo 2"]
    assert planned.tests[0].action.user == ""


def test_unset_drops_facts_and_refuses_what_is_not_there():
    left = plan("unset env:HOMEPAGE label:a expose").facts
    assert (left.environment, left.labels, left.expose) == ((), (("b", "2"),), ())
    with pytest.raises(NothingToDrop, match="unset volume"):
        plan("unset volume")


def test_an_entry_takes_away_the_start_command_of_the_base_alone():
    base = BASE.replace(entry=Program(("old",)), start=Program(("of", "base")))
    assert plan('entry ["new"]', base=base).facts.command() == ("new",)
    assert plan('start ["own"]', 'entry ["new"]', base=base).facts.command() == ("new", "own")
    assert plan('entry ["new"]', 'start ["own"]', base=base).facts.command() == ("new", "own")
    assert plan('start ["own"]', base=base).facts.command() == ("old", "own")
    assert plan("unset entry", base=base).facts.command() == ("of", "base")


def test_what_an_instance_runs_begins_with_an_entry():
    facts = BASE.replace(entry=Program(("entry", "-x")), start=Program(("start",)))
    assert facts.command() == ("entry", "-x", "start")
    assert facts.command(("a",)) == ("entry", "-x", "a")
    assert facts.command((), None) == ("entry", "-x")
    assert facts.command(None, ("other",)) == ("other",)
    assert facts.command(("a",), ("other",)) == ("other", "a")
    assert facts.command(None, ()) == ("start",)
    assert BASE.command(("a",)) == ("a",)
    assert BASE.command() == ()


def test_a_check_that_is_none_drops_the_check_of_the_base_if_there_is_one():
    checked = plan("health(start-period=5s) true").facts
    assert checked.health.start_period == 5
    assert plan("health none", base=checked).facts.health is None
    assert plan("health none").facts == BASE


def test_only_parameters_that_a_command_mentions_are_given_to_it():
    text = recipe("param used = 1", "param other = 2", "from scratch", "run echo $used")
    (step,) = plan_stage(text.stages[0], BASE).steps
    assert step.action.parameters == (("used", "1"),)


def test_stages_that_nothing_uses_are_pruned():
    lines = ("from scratch as a", "from scratch as b", "from a as c", "from scratch", "copy(from=c) /x -> /x")
    model = recipe(*lines)
    assert stages_needed(model, stage_number(model, None)) == (0, 2, 3)
    assert stages_needed(model, stage_number(model, "b")) == (1,)
    with pytest.raises(NoSuchStage, match="no stage 'x'"):
        stage_number(model, "x")


def test_packages_are_planned():
    planned = plan(
        "apt curl nginx=1.*",
        "pip(into=/v) -r req.txt flask",
        "npm(into=/n) express@4",
        "npm(into=/n, manager=yarn, scripts) -r a",
    )
    environment = tuple(sorted(planned.facts.environment_of_commands().items()))
    assert [step.action.replace(folder="") for step in planned.steps] == [
        actions.InstallPackages("apt", ("curl", "nginx=1.*"), (), (), (), ""),
        actions.InstallPackages("pip", ("flask",), (("-r", "req.txt"),), (("into", "/v"),), environment, ""),
        actions.InstallPackages("npm", ("express@4",), (), (("into", "/n"),), environment, ""),
        actions.InstallPackages(
            "npm", (), (("-r", "a"),), (("into", "/n"), ("scripts", ""), ("manager", "yarn")), environment, ""
        ),
    ]


texts = st.text(max_size=8)
pairs = st.dictionaries(texts, texts, max_size=3).map(lambda d: tuple(sorted(d.items())))
programs = st.builds(Program, st.lists(texts, min_size=1, max_size=3).map(tuple), pairs)


seconds = st.just(0.0) | st.floats(1, 99)


@given(
    st.builds(
        Facts,
        st.sampled_from(["amd64", "arm64"]),
        st.integers(0, 2**33),
        environment=pairs,
        user=texts,
        workdir=texts.map(lambda t: "/" + t),
        entry=st.none() | programs,
        start=st.none() | programs,
        health=st.none() | st.builds(HealthCheck, programs, seconds, seconds, st.integers(0, 9), seconds, seconds),
        expose=st.lists(texts, max_size=2).map(tuple),
        labels=pairs,
    )
)
def test_facts_read_back_what_was_written(facts):
    assert load(dump(facts)) == facts


def test_the_image_digest_is_pinned():
    assert image_digest("0" * 64, BASE) == "d6f22eea2a9b1c9b547889ee36b8ebd3c12f758621e5d091dbb9e59838d9b8ab"

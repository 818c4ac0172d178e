"""What is on record of the images that an image was built on."""

import json

import pytest

pytestmark = pytest.mark.namespaces


@pytest.mark.parametrize("base", ["from image:a", "from recipe:a.env", "from image:a as first\nfrom first"])
def test_a_build_that_changes_nothing_does_not_hide_how_its_base_was_made(project, base):
    assert project.build("run echo first > /x", name="a.env").code == 0
    done = project.build(base, "run true", name="b.env")
    assert done.code == 0, done.err
    (a, b) = (project.show(name) for name in "ab")
    assert a["digest"] == b["digest"]
    assert [step["text"] for step in a["steps"]] == ["run echo first > /x"]
    assert a["steps"][0]["file"] == "a.env"


def test_the_base_is_the_recipes_image_and_not_another_one_with_its_tree(project):
    assert project.build("run echo first > /x", name="a.env").code == 0
    done = project.build("from recipe:a.env", "env NAME=b", name="b.env")
    assert done.code == 0, done.err
    (touch,) = json.loads(project.command("why", "b", "/x", "--format", "json").out)["touches"]
    assert (touch["file"], touch["text"]) == ("a.env", "run echo first > /x")

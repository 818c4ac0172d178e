import pytest


def greeting(project):
    """Makes a small image that can be started."""
    done = project.build("env A=1", "run echo hello > /greeting", 'start ["cat", "/greeting"]')
    assert done.code == 0, done.err


@pytest.fixture
def web(project, made_once, tmp_path):
    with made_once.again(project, greeting, tmp_path / "made"):
        yield project

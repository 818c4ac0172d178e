import pytest


@pytest.fixture
def web(project):
    done = project.build("env A=1", "run echo hello > /greeting", 'start ["cat", "/greeting"]')
    assert done.code == 0, done.err
    return project

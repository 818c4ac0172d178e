"""The way of older kernels to mount layers, on this one."""

import pytest

from tests.sandbox import old_kernel

pytestmark = [pytest.mark.namespaces, pytest.mark.user]


def test_layers_mount_through_mount_2_where_fsopen_is_missing(project, tmp_path):
    done = project.call(old_kernel.main, str(tmp_path))
    assert done.returncode == 0, done.stderr
    listed, refused = done.stdout.splitlines()
    assert listed == "['y'] 0"
    assert "too many layers" in refused

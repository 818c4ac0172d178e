"""What a traced step reads of its tree, in real sandboxes: every kind of access, and what can't be followed."""

from __future__ import annotations

import pytest

from envbuild.trace.reads import CONTENT
from tests.conftest import BUSYBOX
from tests.sandbox.test_sandbox import Box

pytestmark = [pytest.mark.namespaces, pytest.mark.user]


@pytest.fixture(params=["all", "single"])
def box(request, tmp_path):
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed")
    box = Box(tmp_path, request.param == "single", steps=True)
    (box.layer / "etc/app").mkdir()
    (box.layer / "etc/app/conf").write_text("a=1\n")
    (box.layer / "etc/link").symlink_to("app")
    (box.layer / "etc/far").symlink_to("/etc/link/conf")
    return box


def trace(box: Box, script: str, **options: object) -> dict[str, int]:
    """What a script reads, beside what its start takes."""
    answer = box.run(script, traced=True, **options)
    assert answer["untraceable"] == "", answer
    return {path: access for path, access in answer["reads"].items() if not path.startswith("bin") and path}


def test_what_is_opened_and_the_links_on_the_way(box):
    assert trace(box, "cat /etc/far") == {"etc/far": CONTENT, "etc/link": CONTENT, "etc/app/conf": CONTENT}

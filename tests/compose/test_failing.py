"""Each folder of failing/ is a file of services that is wrong, and exactly what is said about it."""

from pathlib import Path

import pytest

from envbuild.compose.file.load import load_group
from envbuild.compose.file.reader import ServiceErrors

CASES = sorted(path for path in (Path(__file__).parent / "failing").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_errors_are_these_byte_for_byte(case, monkeypatch):
    monkeypatch.chdir(case)
    with pytest.raises(ServiceErrors) as raised:
        load_group("services.yaml", {"HOME": "/home/ada"}, "/home/ada")
    assert f"{raised.value}\n" == (case / "expected.txt").read_text(encoding="utf-8")

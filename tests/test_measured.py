"""The records of what tests reached, of which a kill may cut any short."""

from __future__ import annotations

import marshal
import zlib
from pathlib import Path

from tests.measured import MARK, records


def record(content: dict[str, set]) -> bytes:
    written = marshal.dumps(content)
    return MARK + len(written).to_bytes(8, "big") + zlib.crc32(written).to_bytes(4, "big") + written


def test_a_record_cut_short_anywhere_costs_no_other(tmp_path: Path) -> None:
    first, second, path = record({"a": {1, 2}}), record({"b": {3}}), tmp_path / "reached"
    for length in range(len(first)):
        path.write_bytes(second + first[:length] + second + first[:length])
        assert list(records(path)) == [{"b": {3}}, {"b": {3}}]

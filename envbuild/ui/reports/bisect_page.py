"""The answer of a bisect as one page of HTML that needs no other."""

from __future__ import annotations

import shlex

from envbuild.ui.reports.document import environment
from envbuild.ui.sanitize import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PARTS = 40
"""Parts beyond which the page shows them only when asked to."""


def bisect_page(report: dict[str, Any]) -> str:
    """Return the documented form of an answer (docs/bisect.md) as a page."""
    failure = report["failure"]
    fails = "its time limit" if failure["timed_out"] else f"exit code {failure['exit']}" if failure["exit"] else ""
    if failure["text"]:
        fails += f"{' and ' if fails else ''}the text '{failure['text']}'"
    template = environment().get_template("bisect.html.j2")
    return template.render(
        r=report,
        title=f"Bisect: {report['good']} → {report['bad']}",
        test=shlex.join(report["test"]),
        fails=fails,
        output=clean(report["output"]).rstrip().splitlines(),
        most=MAX_PARTS,
    )

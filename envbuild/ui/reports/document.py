"""A comparison as a document: markdown for a comment on a pull request, or one page of HTML that needs no other."""

from __future__ import annotations

import os
import re

from jinja2 import Environment, FileSystemLoader

from envbuild.ui.escape import visible
from envbuild.ui.reports.terminal import VERBS, fact_text
from envbuild.ui.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDED_BEYOND = 10
"""Rows of a list that a comment shows without a click."""
MOST_PATHS = 200
MOST_LINES = 500
MOST_CHARACTERS = 60_000
"""GitHub refuses comments of more than 65,536 characters (its REST API for issue comments)."""


def document(report: dict[str, Any], form: str, title: str) -> str:
    """The report in the form `markdown` or `html`."""
    environment = _environment(autoescape=form == "html")
    verbs = [one["verb"] for one in report["packages"]]
    counted = ", ".join(f"{verbs.count(verb)} {verb}" for verb in VERBS if verb in verbs)
    template = environment.get_template(f"diff.{'html' if form == 'html' else 'md'}.j2")
    for most in (MOST_PATHS, 20):
        text = template.render(
            r=report,
            title=title,
            counted=counted,
            limit=FOLDED_BEYOND,
            most=most,
            most_lines=MOST_LINES,
            fence=_fence(report),
        )
        if form == "html" or len(text) <= MOST_CHARACTERS:
            break
    return text if form == "html" else re.sub(r"\n{3,}", "\n\n", text)


def review_document(found: list[dict[str, Any]], title: str) -> str:
    """The markdown for a pull request: for each recipe whether its lock is up to date, and what changed."""
    for one in found:
        report = one["report"]
        one["document"] = document(report, "markdown", f"`{one['recipe']}`") if report is not None else ""
    text = _environment(autoescape=False).get_template("review.md.j2").render(found=found, title=title)
    return re.sub(r"\n{3,}", "\n\n", text)


def _environment(*, autoescape: bool) -> Environment:
    loader = FileSystemLoader(os.path.join(os.path.dirname(__file__), "templates"))
    environment = Environment(loader=loader, autoescape=autoescape, keep_trailing_newline=True)
    environment.filters |= {"size": size, "fact": fact_text, "visible": visible}
    return environment


def _fence(report: dict[str, Any]) -> str:
    """A fence that no line of the diffs can close."""
    lines = [*report.get("texts", ()), *report.get("statements", ())]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    return "`" * max(3, longest + 1)

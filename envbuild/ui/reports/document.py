"""A comparison as one page of HTML that needs no other."""

from __future__ import annotations

import os

from jinja2 import Environment, FileSystemLoader

from envbuild.text.sizes import format_size
from envbuild.ui.reports.machine import record_text
from envbuild.ui.reports.report import not_compared
from envbuild.ui.reports.screen import first_notices
from envbuild.ui.reports.terminal import VERBS, fact_text, network_row, other_paths
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PATHS = 200
"""Paths beyond which the page shows them only when asked to."""


def page(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    verbs = [package["verb"] for package in report["packages"]]
    counted = ", ".join(f"{verbs.count(verb)} {verb}" for verb in VERBS if verb in verbs)
    title = f"Environment: {report['old']['name']} → {report['new']['name']}"
    template = environment().get_template("diff.html.j2")
    return template.render(
        r=report,
        title=title,
        counted=counted,
        most=MAX_PATHS,
        others=len(other_paths(report)),
        notices=first_notices(report["notices"], MAX_PATHS),
    )


def environment() -> Environment:
    """Return templates in which every value is harmless: its control characters are shown, and its markup is none."""
    loader = FileSystemLoader(os.path.join(os.path.dirname(__file__), "templates"))
    environment = Environment(loader=loader, autoescape=True, keep_trailing_newline=True, finalize=_shown)
    environment.filters |= {
        "size": format_size,
        "fact": fact_text,
        "network": network_row,
        "not_compared": not_compared,
        "record": record_text,
    }
    return environment


def _shown(value: object) -> object:
    # Not what is markup of ours already; exactly `str`, as Markup is one too.
    return visible(value) if type(value) is str else value

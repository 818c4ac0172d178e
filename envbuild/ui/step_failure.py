"""A failed step: what, where, how it ended, what it said last, and how to look at it."""

from __future__ import annotations

from envbuild.build.events import StepFailed
from envbuild.ui.build_messages import label, status_in_words
from envbuild.ui.humanize import duration
from envbuild.ui.sanitize import LineCleaner, clean, visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_LINES = 20
MAX_STATEMENT_LINES = 8


def failure_lines(event: StepFailed, main_recipe: str, output: Output) -> list[str]:
    """Return the block that a failed step leaves, in the form of the language's own errors.

    error: the command failed: exit status 2 --> web.env:12, in [wheels], after 3.2s | 12 | run make all | its last
    output: | make: *** No rule to make target 'all'. to look inside: envbuild shell --failed
    """
    message, *details = clean(event.message).split("\n")
    words = status_in_words(event.status)
    # What ended at its time limit was not killed for want of memory.
    if words and words.split(" (")[0] not in message and "timeout=" not in message:
        message = f"{message}: {words}" if message else words
    numbered = list(_statement(event))
    gutter = " " * max(len(number) for number, _ in numbered)
    place = f"{visible(event.file)}:{event.line}"
    lines = [f"{output.paint('error:', 'error')} {output.paint(message, 'strong')}"]
    lines += [f"  {line}" for line in details]
    lines.append(f"{gutter}--> {place}, in {label(event, main_recipe)}, after {duration(event.seconds)}")
    lines.append(f"{gutter} |")
    lines += [f"{number:>{len(gutter)}} | {text}".rstrip() for number, text in numbered]
    lines.append(f"{gutter} |")
    last = last_lines(event.output)
    if last:
        lines.append("its last output:")
        lines += [f"{gutter} | {line}".rstrip() for line in last]
    if event.way_in:
        lines.append(f"to look inside: {output.paint(visible(event.way_in), 'strong')}")
    return lines


def last_lines(output: bytes, limit: int = MAX_LINES) -> list[str]:
    """Return the last lines of a step's output that say anything, clean."""
    cleaner = LineCleaner()
    lines = [*cleaner.feed(output), *cleaner.finish()]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines[-limit:]


def _statement(event: StepFailed) -> Iterable[tuple[str, str]]:
    """Return the statement's lines with their numbers; of a long one the first."""
    lines = event.text.rstrip("\n").split("\n")
    for offset, line in enumerate(lines[:MAX_STATEMENT_LINES]):
        yield str(event.line + offset), visible(line.replace("\t", "    "))
    if len(lines) > MAX_STATEMENT_LINES:
        yield "", "..."

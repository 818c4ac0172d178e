"""The words for what happens in a build, the same for plain lines and on a terminal."""

from __future__ import annotations

from envbuild.build.events import BuildFinished, Notice, StepCached, StepFailed, StepFinished, StepReused, StepStarted
from envbuild.language.one_line import one_line
from envbuild.text.sizes import format_size
from envbuild.text.width import cut
from envbuild.ui.humanize import count, duration
from envbuild.ui.sanitize import clean, visible
from envbuild.ui.stream import Output

MAX_HEADLINE = 100
"""Columns to which a statement is cut where the width of the terminal does not matter."""
_MEANINGS = {
    126: "the command was found but can't be executed",
    127: "command not found",
    128 + 6: "it aborted itself",
    128 + 9: "killed from outside; often the machine was out of memory",
    128 + 11: "it accessed memory that is not its own",
    128 + 13: "it wrote to a pipe that nobody reads",
    128 + 31: "it made a system call that the sandbox forbids",
}


def headline(text: str, limit: int = MAX_HEADLINE) -> str:
    """Return a statement in one line, cut to `limit` columns."""
    return cut(visible(one_line(text)), limit)


def label(event: StepStarted | StepCached | StepReused | StepFailed, main_recipe: str) -> str:
    """Return where a step belongs: `[wheels]`, or `[base/wheels]` for one of a recipe that is built along."""
    own = event.recipe == main_recipe or not main_recipe
    return visible(f"[{event.stage}]" if own else f"[{event.recipe}/{event.stage}]")


def finished_in_words(event: StepFinished) -> str:
    """Return `1.2s (+12 files, 3.4 MiB)`, `1.2s (-12 files, 3.4 MiB)`, `12ms (nothing changed)`."""
    added = f"+{count(event.files, 'file')}, {format_size(event.size)}" if event.files or event.size else ""
    removed = f"-{count(event.removed, 'file')}, {format_size(event.freed)}" if event.removed else ""
    if removed and not event.size:
        added = ""  # the directories that were changed by the removal
    return f"{duration(event.seconds)} ({'; '.join(filter(None, (added, removed))) or 'nothing changed'})"


def notice_lines(notice: Notice, output: Output) -> list[str]:
    """Return `warning: ...` and its hint."""
    style = "warning" if notice.level == "warning" else "note"
    first, *more = clean(notice.message).split("\n")
    lines = [f"{output.paint(visible(notice.level) + ':', style)} {first}", *more]
    return lines + hint_lines(notice.hint, output)


def hint_lines(hint: str, output: Output) -> list[str]:
    """Return the way out, in lines of its own; nothing for an empty hint."""
    if not hint:
        return []
    first, *more = clean(hint).split("\n")
    return [f"{output.paint('hint:', 'note')} {first}", *("      " + line for line in more)]


def summary_lines(event: BuildFinished, output: Output, digits: int = 64) -> list[str]:
    """Return a line: what the image is called and is, what was done for it, and what became of the lock; and one for
    each other image of the recipe.

    `digits` of the image's digest are shown.
    """
    names = ", ".join(visible(tag) for tag in event.tags) or visible(event.recipe)
    work = f"{event.ran} run, {event.cached} cached" if event.ran else f"all {event.cached} cached"
    facts = [f"{work}, {duration(event.seconds)}"]
    if event.lock_state != "none":
        facts.append(f"{visible(event.lock)} {event.lock_state}")
    image = event.image.removeprefix("sha256:")[:digits]
    others = [f"{output.paint(visible(names), 'good')} = {digest[:digits]}" for names, digest in event.others]
    return [f"{output.paint(names, 'good')} = {image} ({'; '.join(facts)})", *others]


def status_in_words(status: int) -> str:
    """Return `exit status 2`, `exit status 127 (command not found)`, `ended by SIGKILL (...)`; "" for 0.

    `status` is as a shell gives it: 128 and the signal's number for a command that a signal ended.
    """
    if status == 0:
        return ""
    from envbuild.linux.signal_names import signal_name  # only where a step fails

    signal = signal_name(status - 128)
    words = f"ended by SIG{signal}" if signal else f"exit status {status}"
    meaning = _MEANINGS.get(status)
    return f"{words} ({meaning})" if meaning else words

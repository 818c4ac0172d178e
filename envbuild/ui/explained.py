"""Why steps run, said once for all steps that have the same cause."""

from __future__ import annotations

from envbuild.build.events import StepExplained
from envbuild.ui.sanitize import visible


class Explanations:
    """Holds back the steps that run only because another one came out differently, until all of them are known."""

    def __init__(self) -> None:
        self._of: dict[int, list[int]] = {}

    def lines(self, event: StepExplained) -> list[str]:
        """Return `#2 because: packages: +curl`; nothing for a step that only follows another."""
        texts = [f"#{event.step} because: {visible(cause)}" for cause in event.causes]
        if event.follows and texts:
            texts.append(f"#{event.step} because: #{event.follows} came out differently")
        elif event.follows:
            self._of.setdefault(event.follows, []).append(event.step)
        return texts

    def rest(self) -> list[str]:
        """Return `#3..#10: because #2 came out differently` for the steps that were held back."""
        held, self._of = self._of, {}
        return [f"{ranges(steps)}: because #{cause} came out differently" for cause, steps in sorted(held.items())]


def ranges(steps: list[int]) -> str:
    """Return `#3, #5..#8` for the numbers of steps."""
    parts: list[list[int]] = []
    for step in sorted(steps):
        if parts and step == parts[-1][1] + 1:
            parts[-1][1] = step
        else:
            parts.append([step, step])
    return ", ".join(f"#{first}" if first == last else f"#{first}..#{last}" for first, last in parts)

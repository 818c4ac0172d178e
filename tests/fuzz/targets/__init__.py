"""All targets by name, the most exposed readers first."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    archives,
    bisect,
    captures,
    command_line,
    git,
    languages,
    maven,
    merges,
    packages,
    sandbox,
    sharing,
    store,
    trust,
)

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        archives,
        sharing,
        trust,
        sandbox,
        packages,
        maven,
        merges,
        languages,
        store,
        git,
        command_line,
        bisect,
        captures,
    )
    for target in module.TARGETS
}

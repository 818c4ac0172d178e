"""envbuild: execution environments under version control.

A recipe (`language`) becomes a graph of steps (`plan`); the `engine` looks each step up in the `store`,
runs what is missing in a `sandbox`, and snapshots it as a Merkle `tree`. See docs/design.md.
"""

__version__ = "0.1.0"

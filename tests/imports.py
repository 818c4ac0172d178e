"""Which of some modules a part of envbuild imports, in a Python that has imported nothing else.

`python -S -m tests.imports PART NAME...` is that Python: it prints those of the modules that doing PART imports. So
nothing is imported here before its part is done.
"""

import sys


def imported(part: str, *names: str) -> set[str]:
    """Return those of these modules that a new Python imports when it does this."""
    import os
    import subprocess
    from pathlib import Path

    words = [sys.executable, "-S", "-m", "tests.imports", part, *names]
    # Without `site`, which may import anything, the libraries have to be found otherwise.
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(words, cwd=Path(__file__).parents[1], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def json() -> None:
    from envbuild.text import json as short

    short.loads("1")


def model_cache() -> None:
    import envbuild.language.model_cache  # noqa: F401


def package_managers() -> None:
    from envbuild.packages.registry import manager_of

    for name in ("apt", "pip", "npm"):
        manager_of(name)


def display() -> None:
    import io

    from envbuild.build.events import BuildFinished, BuildStarted, StepCached, StepFinished, StepStarted
    from envbuild.ui.select_display import display

    with display("auto", io.StringIO(), True) as show:
        show(BuildStarted("web", "web.env", 3))
        show(StepCached(1, "web", "1", "from x", "web.env", 7, "tree"))
        show(StepStarted(2, "web", "1", "run x", "web.env", 8))
        show(StepFinished(2, "tree", 1.2, 12, 3_400_000))
        show(BuildFinished("web", "image", ("web:latest",), "tree", 1.6, 1, 2, "web.env.lock", "written"))


if __name__ == "__main__":
    _, wanted, *modules = sys.argv
    before = set(sys.modules)
    globals()[wanted]()
    print(*[name for name in modules if name in sys.modules and name not in before])

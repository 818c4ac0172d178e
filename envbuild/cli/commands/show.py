"""`envbuild show`."""

from __future__ import annotations

import os

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, describe, lock_plain, print_json
from envbuild.language.one_line import one_line
from envbuild.store.network_record import REACH_WORDS
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count, duration
from envbuild.ui.sanitize import visible
from envbuild.ui.tables import table, width_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from envbuild.lockfile.lock import Lock

DESCRIPTION = """\
Show an image: its tags, digests, configuration, steps, size, and what its steps asked of the network. Of a lock, show
what it says of that, whether the image is in this store or not."""

EXAMPLES = """\
examples:
  envbuild show web
  envbuild show web --format json
  envbuild show web.env.lock"""

Rows = list[tuple[str, str]]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", metavar="IMAGE", help="a name, NAME:TAG, the first digits of a digest, or a file RECIPE.env.lock"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    lock = _lock_at(arguments.image)
    if lock is not None:
        return _show_lock(lock, arguments, environment)
    with Store.open(environment.store_path(), create=False) as store:
        plain = describe(store, find_image(store, arguments.image), sizes=True)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
        return 0
    rows: Rows = [
        ("image", plain["digest"]),
        ("tree", plain["tree"]),
        ("tags", " ".join(plain["tags"]) or "-"),
        ("made", plain["made"]),
        ("size", f"{format_size(plain['size'])} in {count(plain['files'], 'file')}"),
    ]
    for name, value in plain["facts"].items():
        rows += _fact(name, value)
    single = [f"#{step['number']}" for step in plain["steps"] if not step["owners_kept"]]
    if single:
        rows.append(("owners", f"not kept by steps {' '.join(single)}, which ran with a single id"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        environment.stdout.write(f"{name:<{width}}  {visible(value)}\n")
    shown = width_of(environment.stdout)
    for stage in plain["stages"]:
        environment.stdout.write(f"\nstage {stage['stage']}\n")
        base = (f"#{stage['number']}", f"from {stage['base']}", stage["tree"][7:19], _size(stage), "")
        steps = [
            (f"#{s['number']}", one_line(s["text"]), s["tree"][7:19], _size(s), duration(s["seconds"]))
            for s in plain["steps"]
            if s["stage"] == stage["stage"]
        ]
        headers = ("STEP", "STATEMENT", "TREE", "SIZE", "TOOK")
        table(headers, [base, *steps], stream=environment.stdout, width=shown, right=(0, 3, 4))
    fetched = [step for step in plain["steps"] if "commit" in step]
    if fetched:
        environment.stdout.write("\n")
    for step in fetched:
        environment.stdout.write(f"commit of step #{step['number']}: {step['commit']}\n")
    for step in plain["steps"]:
        if "network" in step:
            environment.stdout.writelines(f"{visible(line)}\n" for line in _network(step))
    return 0


def _lock_at(path: str) -> Lock | None:
    """Return the lock in a file, None if this is not the name of one."""
    if not path.endswith(".lock") or not os.path.isfile(path):
        return None
    from envbuild.build.recipe_files import lock_text
    from envbuild.lockfile.lock_file import parse

    return parse(lock_text(path), path)


def _show_lock(lock: Lock, arguments: argparse.Namespace, environment: Environment) -> int:
    """Show what a lock says, which nobody needs a store for."""
    if arguments.format == "json":
        print_json(lock_plain(lock), environment.stdout)
        return 0
    from envbuild.lockfile.lock import readable

    environment.stdout.writelines(f"{visible(line)}\n" for line in readable(lock).splitlines())
    return 0


def _network(step: dict[str, Any]) -> Iterator[str]:
    """Yield what a step asked of the network."""
    network = step["network"]
    yield ""
    yield f"network of step #{step['number']}: {REACH_WORDS.get(network['mode'], network['mode'])}"
    yield from (f"  asked    {host}" for host in network["asked"])
    yield from (f"  refused  {host}" for host in network["refused"])
    for method, address, status, digest, size in network["answers"]:
        yield f"  {method} {address}  {status}  sha256:{digest[:12]}  {format_size(size)}"
    if network["more"]:
        yield f"  and {network['more']} more that are not listed"


def _fact(name: str, value: object) -> Rows:
    if isinstance(value, dict):
        return [(name, f"{key}={inner}") for key, inner in value.items()]
    if isinstance(value, list):
        return [(name, " ".join(map(str, value)))]
    return [(name, str(value))]


def _size(step: dict[str, Any]) -> str:
    """Return what a step added, or else removed."""
    if step["size"] is None:
        return "-"
    return f"-{format_size(step['freed'])}" if step["freed"] and not step["size"] else format_size(step["size"])

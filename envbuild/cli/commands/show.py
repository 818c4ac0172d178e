"""`envbuild show`."""

from __future__ import annotations

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, describe, print_json
from envbuild.language.one_line import one_line
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

DESCRIPTION = "Show an image: its tags, digests, configuration, steps and size."

EXAMPLES = """\
examples:
  envbuild show web
  envbuild show web --format json"""

Rows = list[tuple[str, str]]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
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
    for step in plain["steps"]:
        if "network" in step:
            environment.stdout.writelines(f"{visible(line)}\n" for line in _network(step))
    return 0


_MODES = {
    "any": "any host through the step's proxy",
    "listed": "the hosts of its list",
    "machine": "the whole network of this machine: what it fetched is not on record",
}


def _network(step: dict[str, Any]) -> Iterator[str]:
    """Yield what a step asked of the network."""
    network = step["network"]
    yield ""
    yield f"network of step #{step['number']}: {_MODES.get(network['mode'], network['mode'])}"
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

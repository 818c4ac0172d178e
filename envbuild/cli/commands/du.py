"""`envbuild du`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.tables import table

DESCRIPTION = "Show how much disk space the store uses, and how much of it only one image needs."

EXAMPLES = """\
examples:
  envbuild du
  envbuild du --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.records import Instances
    from envbuild.instances.volumes import Volumes
    from envbuild.store.disk_usage import usage

    with Store.open(environment.store_path(), create=False) as store:
        enter_for(store)
        instances = Instances.of(store.path)
        folders = [(instance.name, instance.path) for instance in instances.all()]
        folders += [(damaged.name, damaged.path) for damaged in instances.damaged()]
        volumes = [(volume.name, volume.path) for volume in Volumes.of(store).all()]
        with environment.progress_line() as line:
            used = usage(store, folders, volumes, line)
        names = {
            row.image: " ".join(store.projects.shown(tag.full) for tag in store.tags.all(row.image))
            for row in used.images
        }
    parts = ("objects", "layers", "database", "caches", "packages", "exported", "work", "instances", "volumes")
    if arguments.format == "json":
        plain: dict[str, object] = {part: getattr(used, part) for part in parts}
        plain["files"] = used.files
        plain["total"] = used.total
        plain["images"] = [
            {"digest": f"sha256:{row.image}", "tags": names[row.image].split(), "size": row.size, "own": row.own}
            for row in used.images
        ]
        for kind, each in (("each_instance", used.each_instance), ("each_volume", used.each_volume)):
            plain[kind] = [{"name": name, "size": count} for name, count in each]
        print_json(plain, environment.stdout)
        return 0
    rows = [(part, format_size(getattr(used, part))) for part in parts]
    table(("PART", "ON DISK"), [*rows, ("total", format_size(used.total))], stream=environment.stdout, right=(1,))
    environment.stdout.write("\n")
    images = [(names[row.image] or row.image[:12], format_size(row.size), format_size(row.own)) for row in used.images]
    table(("IMAGE", "FILES", "ITS OWN"), images, stream=environment.stdout, right=(1, 2))
    for head, each in (("INSTANCE", used.each_instance), ("VOLUME", used.each_volume)):
        if each:
            environment.stdout.write("\n")
            rows = [(name, format_size(count)) for name, count in each]
            table((head, "ON DISK"), rows, stream=environment.stdout, right=(1,))
    return 0

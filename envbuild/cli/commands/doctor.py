"""`envbuild doctor`."""

from __future__ import annotations

import argparse
import os

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json

DESCRIPTION = """\
Try what this machine can do, and show for each thing that it can't the command that fixes it.
Exit code 3 if something is missing that envbuild can't work without."""

EXAMPLES = """\
examples:
  envbuild doctor
  envbuild doctor --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.doctor import probe_instances
    from envbuild.sandbox.doctor import probe
    from envbuild.store.database import StoreUnusable
    from envbuild.store.store import Store

    # Opening it makes the store's folder, on whose file system the trials have to run.
    with Store.open(environment.store_path()) as store:
        if store.database.read_only:
            raise StoreUnusable(store.path, "it may not be written by this user")
        findings = (*probe(store.work.path), *probe_instances())
    if arguments.format == "json":
        plain = [{name: getattr(finding, name) for name in finding.__match_args__} for finding in findings]
        print_json({"store": environment.store_path(), "user": os.getuid(), "findings": plain}, environment.stdout)
    else:
        environment.stdout.write(f"store {environment.store_path()}\n")
        for finding in findings:
            mark = "ok" if finding.ok else ("MISSING" if finding.needed else "missing")
            environment.stdout.write(f"{mark:<8}{finding.name}: {finding.detail}\n")
            if not finding.ok:
                environment.stdout.write(f"        for {finding.purpose}\n        mend: {finding.mend}\n")
    return 3 if any(finding.needed and not finding.ok for finding in findings) else 0

"""What this machine can do for instances, for `envbuild doctor`: found out by trying."""

from __future__ import annotations

import os
import tempfile

from envbuild.errors import MachineLacks
from envbuild.instances.config import Limits
from envbuild.instances.limits import make_group
from envbuild.instances.network.private import find_tool
from envbuild.linux import syscalls
from envbuild.linux.netlink import Links
from envbuild.sandbox.doctor import Finding, tried
from envbuild.sandbox.user_namespace import enter_user_namespace


def probe_instances() -> tuple[Finding, ...]:
    """Try what an instance can have beside its sandbox: a way out, a network with others, limits."""
    return _outgoing(), _networks(), _limits()


def _outgoing() -> Finding:
    purpose = "run --network private: a way out of an instance of its own"
    try:
        return Finding("outgoing network", True, find_tool().path, "", False, purpose)
    except MachineLacks as lack:
        return Finding("outgoing network", False, lack.message, lack.hint, False, purpose)


def _networks() -> Finding:
    def trial() -> str:
        enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        with Links() as links:
            links.add_bridge("probe")
            links.raise_up("probe")
        return "a bridge can be made"

    trial_result = tried(trial)
    mend = "" if trial_result.ok else trial_result.mend or "use a kernel with CONFIG_BRIDGE and CONFIG_VETH"
    purpose = "run --network NAME, up: instances that reach each other by name"
    return Finding("networks of instances", trial_result.ok, trial_result.text, mend, False, purpose)


def _limits() -> Finding:
    with tempfile.TemporaryDirectory(prefix="envbuild-") as folder:
        group = make_group(Limits(memory=1 << 26, cpus=0.5, pids=10), f"doctor-{os.getpid()}", folder)
        made, warnings = group.paths, group.warnings
        group.remove()
    detail = warnings[0].partition(";")[0] if warnings else f"control groups such as {os.path.dirname(made[0])}"
    mend = warnings[0].partition("; ")[2] if warnings else ""
    return Finding("limits", not warnings, detail, mend, False, "--memory, --cpus and --pids of instances")

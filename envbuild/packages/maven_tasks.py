"""How artifacts are laid out: as Maven's own local repository has them, for `mvn --offline`."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.locked_modules import layout_task
from envbuild.packages.manager import FOLDER, PACKAGES, Task
from envbuild.packages.maven_names import Coordinates
from envbuild.plan.step import InstallPackages

_ORDER = f"{FOLDER}/order"
_INSTALL = f"""\
set -eu
umask 022
mkdir -p "$INTO"
cd "$INTO"
while read -r file target; do
    [ -d "${{target%/*}}" ] || mkdir -p "${{target%/*}}"
    cat "{PACKAGES}/$file" > "$target"
done < {_ORDER}
"""


def install_task(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what puts artifacts into a repository; they are given with the paths of their files. Raises UnsafeName."""
    mounted, order = [], []
    for package, path in packages:
        name = Component(package.hash.partition(":")[2])
        mounted.append((name, path))
        order.append(f"{name} {Coordinates.of_name(package.name).path}\n")
    return layout_task(action, _INSTALL, ((_ORDER, "".join(order).encode()),), mounted)

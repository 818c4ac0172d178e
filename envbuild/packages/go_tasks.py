"""How modules are laid out: as `go mod download` leaves them in a module cache, for go to unpack them itself."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.go_sum import sums_of
from envbuild.packages.locked_modules import layout_task
from envbuild.packages.manager import FOLDER, PACKAGES, Contents, Task
from envbuild.plan.step import InstallPackages

_ORDER = f"{FOLDER}/order"

_INSTALL = f"""\
set -eu
umask 022
mkdir -p "$INTO/cache/download"
cd "$INTO/cache/download"
while read -r file target hash; do
    mkdir -p "${{target%/*}}"
    cat "{PACKAGES}/$file" > "$target"
    case $target in
    *.zip) printf %s "$hash" > "${{target}}hash" ;;
    esac
done < {_ORDER}
"""


def install_task(action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what puts modules into a cache, which are given with the paths of their files. Raises OtherModule for one
    that is not what go.sum names, BadGoSum and UnsafeName."""
    sums = sums_of(contents)
    mounted, order = [], []
    for package, path in packages:
        said = sums[package.name]
        with open(path, "rb") as file:
            said.check(file.read())
        name = Component(package.hash.partition(":")[2])
        mounted.append((name, path))
        order.append(f"{name} {said.place} {said.digest}\n")
    return layout_task(action, _INSTALL, ((_ORDER, "".join(order).encode()),), mounted)

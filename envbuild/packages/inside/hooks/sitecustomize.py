"""What every Python does that runs for pip, and those that pip starts.

A pip that another pip starts reports what it installs: those are the build requirements of sources. And the bytecode of
pip itself, which lies in a directory of its own, and of what builds need is kept as long as the sandbox, since a build
runs half a dozen of such Pythons; nobody else's is written anywhere.
"""

import os
import sys

if os.environ.get("ENVBUILD_REPORTS"):
    os.environ["PIP_REPORT"] = f"{os.environ['ENVBUILD_REPORTS']}/build-{os.getpid()}.json"


def keep_bytecode_below(folders):
    """Have bytecode be written below these directories alone."""
    from _frozen_importlib_external import SourceFileLoader

    write = SourceFileLoader.set_data

    def set_data(self, path, data, **mode):
        if path.startswith(folders):
            write(self, path, data, **mode)

    SourceFileLoader.set_data = set_data
    sys.dont_write_bytecode = False


def run_that_of_the_tree():
    """Run the module of this name that would have been run without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if os.environ.get("ENVBUILD_PIP"):
    own = os.environ["ENVBUILD_PIP"]
    # Those that pip makes for what builds need; and its own, unless the files are the tree's.
    below = (os.path.dirname(own) + "/pip-build-env-",)
    keep_bytecode_below(below if os.path.islink(own + "/pip") else (*below, own + "/"))
run_that_of_the_tree()

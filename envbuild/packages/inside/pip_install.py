"""Installs wheels, and sources after building them, into a virtual environment. Run with the tree's Python: ORDER.

Without network: all files lie in a folder. Scripts find their environment from their own place, so that it may be
moved or copied; bytecode is valid by the hash of its source, so that times don't matter. Each file is the same
whatever the order or number of processors: the work is divided in the same way everywhere.
"""

import functools
import hashlib
import importlib.util
import json
import os
import posixpath
import subprocess
import sys

PARTS = 4
NOT_APART = 67
TRAMPOLINE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python3" "$0" "$@"
' '''
"""
ENTRY = """\
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({whole}())
"""


def main(order):
    os.umask(0o022)
    into = order["into"]
    if not os.path.exists(into + "/pyvenv.cfg"):
        import venv

        venv.create(into, symlinks=True, with_pip=False)
    program = into + "/bin/python3"
    if os.path.realpath(sys.prefix) != os.path.realpath(into):
        # From here on in the environment itself: it knows where its own things belong.
        os.execv(program, [program, "-I", "-B", __file__, sys.argv[1]])
    check(order)
    sys.path.insert(0, order["inside"])
    wheels = [path if path.endswith(".whl") else build(path, order) for path in order["install"]]
    requested = set(order["requested"])
    if order["projects"]:
        from pip_resolve import unpack_projects

        unpack_projects(order["projects"])
        for number, folder in enumerate(order["folders"]):
            wheels.append(build_in(folder.partition("[")[0], f"project-{number}", order))
            requested.add(normal(os.path.basename(wheels[-1]).split("-")[0]))
    sys.path.insert(0, order["installer"])
    compiled = []
    for wheel in wheels:
        compiled += install(wheel, requested, order["apart"])
    compile_all(sorted(compiled))
    if os.environ.get("ENVBUILD_CHECK") == "all":
        check_requirements(order)


def check(order):
    """Check the files of the tree itself: those that are mounted have been checked."""
    for path, digest in order["hashes"].items():
        with open(path, "rb") as file:
            actual = hashlib.sha256(file.read()).hexdigest()
        if actual != digest:
            message = "%s is not the file that the lock names\n  expected sha256:%s\n  got      sha256:%s"
            sys.exit(message % (path, digest, actual))


def check_requirements(order):
    """Let pip say whether all that is installed goes together, where there is a pip; end if something does not."""
    from pip_resolve import find_pip

    if find_pip(order["pip"]) is None:
        return
    done = subprocess.run(
        [sys.executable, *pip_of(order["pip"]), "check", "--disable-pip-version-check"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    apart = [line for line in done.stdout.splitlines() if " has requirement " in line or " requires " in line]
    if apart:
        print("\n".join(apart))
        sys.exit("the packages of the lock don't go together")


def build(path, order):
    """Return the wheel of a source distribution, built from a folder whose name is always the same."""
    from pip_resolve import unpack

    name = os.path.basename(path)
    folder = "/tmp/build/" + name
    os.makedirs(folder)
    unpack(path, folder)
    (inner,) = os.listdir(folder)
    return build_in(folder + "/" + inner, name, order)


def build_in(folder, name, order):
    """Return the wheel that is built in a folder."""
    from pip_resolve import variables_of_builds

    out = "/tmp/wheels/" + name
    words = ["wheel", "--no-deps", "--no-index", "--find-links", order["packages"], "--wheel-dir", out, "--quiet"]
    pip = pip_of(order["pip"])
    variables = {
        **os.environ,
        **variables_of_builds(pip, order["hooks"]),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PYTHONHASHSEED": "0",
    }
    status = subprocess.call([sys.executable, *pip, *words, folder], env=variables)
    if status:
        sys.exit(f"{name} could not be built (exit status {status})")
    (wheel,) = os.listdir(out)
    return out + "/" + wheel


@functools.lru_cache
def pip_of(mounted):
    """Return the words that run pip, which is unpacked once however many builds there are."""
    from pip_resolve import find_pip, unpacked

    return unpacked(find_pip(mounted))


def install(wheel, requested, apart):
    """Install one wheel; return the Python files that it brought. If `apart`, it may take the place of nothing."""
    from installer import install as install_wheel
    from installer.destinations import SchemeDictionaryDestination
    from installer.records import RecordEntry
    from installer.sources import WheelFile

    class Destination(SchemeDictionaryDestination):
        """A destination that places files as pip does, except for scripts."""

        def write_to_fs(self, scheme, path, stream, is_executable):
            if apart and os.path.lexists(os.path.join(self.scheme_dict[scheme], path)):
                # Of two that bring one file, what is there afterwards does not say what each of them brings.
                sys.exit(NOT_APART)
            return super().write_to_fs(scheme, path, stream, is_executable)

        def write_file(self, scheme, path, stream, is_executable):
            if scheme == "scripts":
                import io

                data = stream.read()
                first, _, rest = data.partition(b"\n")
                stream = io.BytesIO(TRAMPOLINE + rest if first.startswith(b"#!python") else data)
                return self.write_to_fs(scheme, path, stream, True)
            return self.write_to_fs(scheme, path, stream, is_executable)

        def write_script(self, name, module, attr, section):
            import io

            text = ENTRY.format(module=module, first=attr.split(".")[0], whole=attr)
            return self.write_to_fs("scripts", name, io.BytesIO(TRAMPOLINE + text.encode()), True)

        def finalize_installation(self, scheme, record_file_path, records):
            records = list(records)
            base = self.scheme_dict[scheme]
            for where, record in list(records):
                path = posixpath.join(self.scheme_dict[where], record.path)
                if record.path.endswith(".py") and where in ("purelib", "platlib"):
                    sources.append(path)
                    cache = os.path.relpath(importlib.util.cache_from_source(path), base)
                    records.append((scheme, RecordEntry(cache, None, None)))
            return super().finalize_installation(scheme, record_file_path, sorted(records, key=lambda r: r[1].path))

    import sysconfig

    sources = []
    paths = sysconfig.get_paths()
    with WheelFile.open(wheel) as source:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        headers = posixpath.join(sys.prefix, "include", "site", version, source.distribution)
        scheme = {name: paths[name] for name in ("purelib", "platlib", "scripts", "data")}
        remove(source.distribution, paths["purelib"])
        metadata = {"INSTALLER": b"envbuild\n"}
        if normal(source.distribution) in requested:
            metadata["REQUESTED"] = b""
        destination = Destination(dict(scheme, headers=headers), sys.executable, "posix", overwrite_existing=True)
        install_wheel(source, destination, metadata)
    return sources


def normal(name):
    import re

    return re.sub("[-_.]+", "-", name).lower()


def remove(name, folder):
    """Remove another version of a distribution, by its RECORD."""
    import csv

    for item in os.listdir(folder):
        if not item.endswith(".dist-info") or normal(item.split("-")[0]) != normal(name):
            continue
        record = f"{folder}/{item}/RECORD"
        with open(record, newline="", encoding="utf-8") as file:
            paths = [os.path.join(folder, row[0]) for row in csv.reader(file) if row]
        folders = set()
        for path in paths:
            if os.path.lexists(path):
                os.unlink(path)
            parent = os.path.dirname(path)
            while os.path.normpath(parent) not in (os.path.normpath(folder), "/", os.path.normpath(sys.prefix)):
                folders.add(os.path.normpath(parent))
                parent = os.path.dirname(parent)
        for path in sorted(folders, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass


def compile_all(paths):
    """Compile in processes that are forked from one state, each with its fixed share."""
    import compileall
    import py_compile

    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    children = []
    for part in range(PARTS):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for path in paths[part::PARTS]:
                    # What can't be compiled here is for another Python, as pip sees it too.
                    compileall.compile_file(path, quiet=2, force=True, invalidation_mode=mode)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("compiling to bytecode failed")


if __name__ == "__main__":
    with open(sys.argv[1]) as given:
        sys.exit(main(json.load(given)))

"""Asks pip which distributions the requirements mean. Run with the tree's Python: ORDER, a file with JSON.

pip is the tree's own if it is new enough to report (22.2), or one that comes with the tree's Python, or the one that
was mounted; without any it ends with NEEDS_PIP.
"""

import glob
import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile

NEEDS_PIP = 64
NEEDS_VENV = 65
MIN_PIP = (22, 2)
PROJECTS = "/tmp/envbuild-projects"


def main(order):
    os.umask(0o022)
    fresh = not os.path.exists(order["into"] + "/pyvenv.cfg")
    venv = environment_at(order["into"])
    if order.get("projects"):
        unpack_projects(order["projects"])
    pip = find_pip(order["pip"])
    if pip is None:
        with open(order["out"] + "/python", "w") as file:
            file.write(f"{sys.version_info[0]}.{sys.version_info[1]}")
        return NEEDS_PIP
    if fresh:
        for wheel in order["have"]:
            show_as_installed(wheel, order["into"])
    report = order["out"] + "/report.json"
    program = unpacked(pip)
    words = [venv, *program, "install", "--dry-run", "--report", report, "--no-input", *order["words"]]
    variables = {
        **os.environ,
        **variables_of_builds(program, order["hooks"]),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_ROOT_USER_ACTION": "ignore",
        "ENVBUILD_REPORTS": order["out"],
    }
    status = subprocess.call(words, env=variables, cwd=order["files"])
    if status:
        return status
    built = sorted(glob.glob(order["out"] + "/build-*.json"))
    # Code of packages ran beside: a pipe under such a name would be waited for.
    reports = [report, *(path for path in built if stat.S_ISREG(os.lstat(path).st_mode))]
    distributions = [entry(item, path != report) for path in reports for item in load(path).get("install", [])]
    with open(order["out"] + "/found.json", "w") as file:
        json.dump({"found": distributions, "pip": pip, "had": fresh and bool(order["have"])}, file)
    return 0


def environment_at(into):
    """Return the Python of the virtual environment, which is made if it isn't there."""
    program = into + "/bin/python3"
    if not os.path.exists(into + "/pyvenv.cfg"):
        try:
            import venv
        except ImportError:
            sys.exit(NEEDS_VENV)
        venv.create(into, symlinks=True, with_pip=False)
    return program


def show_as_installed(wheel, into):
    """Put the metadata of a wheel into the environment, which is all that pip looks at to see what there is."""
    (site,) = glob.glob(into + "/lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, file = name.partition("/")
            if file == "METADATA" and folder.endswith(".dist-info"):
                os.makedirs(f"{site}/{folder}", exist_ok=True)
                with open(f"{site}/{name}", "wb") as target:
                    target.write(archive.read(name))


def find_pip(mounted):
    """Return the words that run pip with any Python, None without one."""
    try:
        import pip

        if version(pip.__version__) >= MIN_PIP:
            return [alone(os.path.dirname(pip.__file__))]
    except ImportError:
        pass
    folders = ["/usr/share/python-wheels"]
    try:
        import ensurepip

        folders.append(os.path.dirname(ensurepip.__file__) + "/_bundled")
    except ImportError:
        pass
    for folder in folders:
        for wheel in sorted(glob.glob(folder + "/pip-*.whl")):
            if version(os.path.basename(wheel).split("-")[1]) >= MIN_PIP:
                return [wheel + "/pip"]
    return [mounted + "/pip"] if mounted else None


def alone(package):
    """Return a path that runs this pip with nothing beside it: what lies in its own directory would count as installed
    in the environment that is asked for."""
    link = tempfile.mkdtemp(prefix="pip-") + "/pip"
    os.symlink(package, link)
    return link


def unpacked(pip):
    """Return words that run the same pip from a directory: out of its wheel, a start takes 40 % longer."""
    (path,) = pip
    wheel = os.path.dirname(path)
    if not os.path.isfile(wheel):
        return pip
    folder = tempfile.mkdtemp(prefix="pip-")
    with zipfile.ZipFile(wheel) as archive:
        # Its metadata would count as an installed distribution.
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("pip/")])
    return [folder + "/pip"]


def variables_of_builds(pip, hooks):
    """Return what is set for a pip that may build: it compiles itself, and what builds need, once in a sandbox."""
    return {"ENVBUILD_PIP": os.path.dirname(pip[0]), "PIP_NO_COMPILE": "1", "PYTHONPATH": hooks}


def unpack_projects(path):
    """Unpack the sources of projects, which are built where they lie then."""
    os.makedirs(PROJECTS, exist_ok=True)
    unpack(path, PROJECTS)


def unpack(path, folder):
    """Unpack files, directories and links that stay inside: the sandbox keeps the rest of the world safe anyway."""
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        return
    with tarfile.open(path) as archive:
        kept = [m for m in archive if not m.name.startswith("/") and ".." not in m.name.split("/")]
        archive.extractall(folder, members=[m for m in kept if m.isfile() or m.isdir() or m.issym()])


def version(text):
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def load(path):
    with open(path) as file:
        return json.load(file)


def entry(item, build):
    """Return what envbuild wants to know of one distribution."""
    download = item["download_info"]
    url = download["url"]
    archive = download.get("archive_info") or {}
    digest = (archive.get("hashes") or {}).get("sha256", "")
    if not digest and str(archive.get("hash", "")).startswith("sha256="):
        digest = archive["hash"].partition("=")[2]
    if not digest and url.startswith("file://"):
        from urllib.parse import unquote

        path = unquote(url[len("file://") :])
        if os.path.isfile(path):
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
    metadata = item["metadata"]
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "url": url,
        "sha256": digest,
        "direct": bool(item.get("is_direct")) and not url.startswith("file://"),
        "build": build,
        "requires": [str(text) for text in metadata.get("requires_dist") or []],
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as given:
        sys.exit(main(json.load(given)))

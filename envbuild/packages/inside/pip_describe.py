"""Says what the tree's Python is: what markers ask of it, and the tags of the wheels that it can use, the best first.
Run with the tree's Python: ORDER, a file with JSON. Without a pip, which knows the tags, it ends with NEEDS_PIP.
"""

import json
import os
import platform
import sys

NEEDS_PIP = 64


def main(order):
    sys.path.insert(0, order["inside"])
    from pip_resolve import find_pip, unpacked

    pip = find_pip(order["pip"])
    if pip is None:
        with open(order["out"] + "/python", "w") as file:
            file.write(f"{sys.version_info[0]}.{sys.version_info[1]}")
        return NEEDS_PIP
    (path,) = unpacked(pip)
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    from pip._internal.utils.compatibility_tags import get_supported

    answer = {"markers": markers(), "tags": [str(tag) for tag in get_supported()]}
    with open(order["out"] + "/python.json", "w") as file:
        json.dump(answer, file)
    return 0


def markers():
    """Return the variables of markers (Python packaging's "Dependency specifiers")."""
    info = sys.implementation.version
    version = f"{info.major}.{info.minor}.{info.micro}"
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return {
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "python_full_version": platform.python_version(),
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as given:
        sys.exit(main(json.load(given)))

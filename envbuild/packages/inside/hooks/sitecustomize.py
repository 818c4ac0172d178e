"""Has every pip that another pip starts report what it installs: those are the build requirements of sources."""

import os

if os.environ.get("ENVBUILD_REPORTS"):
    os.environ["PIP_REPORT"] = f"{os.environ['ENVBUILD_REPORTS']}/build-{os.getpid()}.json"

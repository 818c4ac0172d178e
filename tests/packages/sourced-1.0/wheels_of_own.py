"""Writes a wheel whose only module says what it was built with."""

import zipfile

INFO = "sourced-1.0.dist-info"


def make(folder, version):
    name = "sourced-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in (
            ("sourced.py", f"BUILT_WITH = {version!r}\n"),
            (f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: sourced\nVersion: 1.0\n"),
            (f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            (f"{INFO}/RECORD", ""),
        ):
            wheel.writestr(zipfile.ZipInfo(path), text)
    return name

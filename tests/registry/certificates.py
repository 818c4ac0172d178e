"""A certificate authority of the tests, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """An authority; its certificate is `path`."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.path, self._key = folder / "ca.crt", folder / "ca.key"
        self._make(self._key, self.path, f"/CN={name}", "-x509", "-days", "30")

    def _make(self, key: Path, target: Path, subject: str, *words: str) -> None:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        _openssl("req", "-new", *curve, "-subj", subject, "-keyout", str(key), "-out", str(target), *words)

    def certificate(self, name: str) -> tuple[Path, Path]:
        """A certificate for a host or somebody, and its key."""
        request, target, key = (self._folder / f"{name}.{end}" for end in ("csr", "crt", "key"))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name}\n")
        self._make(key, request, f"/CN={name}")
        signed = ("-CA", str(self.path), "-CAkey", str(self._key), "-CAcreateserial", "-days", "30")
        _openssl("x509", "-req", "-in", str(request), "-out", str(target), "-extfile", str(extensions), *signed)
        return target, key

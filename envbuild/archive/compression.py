"""Uncompresses archives, whose compression is recognized by their first bytes and not by their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any

from envbuild.archive.limits import ArchiveError

MAGIC = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"))
VERIFIED = ("gzip", "xz", "bzip2")
"""Forms whose reader refuses a stream that is cut short; zstandard's takes it for the end."""
MAX_WINDOW = 256 << 20
"""Bytes that an xz stream may have this process keep; the largest of xz's own settings needs 65 MiB."""
MAX_RATIO = 2000
"""More bytes out than this many for each byte in, beyond the first 64 MiB, are a bomb."""
FREE = 64 << 20
REPORTED = 4 << 20
"""Bytes out after which progress is told again."""
_CHUNK = 1 << 16
_GZIP = 31
"""zlib's largest window, with gzip's header and checksum (zlib's manual, "inflateInit2")."""


def open_compressed(path: str, report: Callable[[int, int], None] | None = None) -> Uncompressed:
    """Return the content of a file, uncompressed if it is compressed. Raises ArchiveError for one that can't be
    read. `report` is called now and then with how many bytes of the file are read, and how many there are."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed with the Uncompressed that is returned
    except OSError as error:
        raise ArchiveError(path, str(error.strerror), 0) from error
    return uncompressed(file, path, report)


def uncompressed(file: IO[bytes], name: str, report: Callable[[int, int], None] | None = None) -> Uncompressed:
    """Return the content of an open file, uncompressed if it is compressed; `name` is its name in messages."""
    head = file.read(8)
    file.seek(0)
    kind = next((kind for magic, kind in MAGIC if head.startswith(magic)), "")
    return Uncompressed(name, file, _opened(kind, file), verified=kind in VERIFIED, report=report)


class Uncompressed:
    """Bytes of a file that may be compressed, counted against bombs."""

    def __init__(
        self,
        path: str,
        file: IO[bytes],
        stream: Any,
        *,
        verified: bool,
        report: Callable[[int, int], None] | None = None,
    ) -> None:
        self.verified = verified
        self._report = report
        self._reported = 0
        self._path = path
        self._file = file
        self._stream = stream
        self._out = 0

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end. Raises ArchiveError."""
        try:
            data: bytes = self._stream.read(size)
        except (OSError, EOFError, ValueError) as error:
            raise ArchiveError(self._path, f"damaged: {error}", self._out) from error
        except Exception as error:
            # lzma, zlib and zstandard each have an error of their own, without a base in common.
            if type(error).__name__ not in ("LZMAError", "error", "ZstdError"):
                raise
            raise ArchiveError(self._path, f"damaged: {error}", self._out) from error
        self._out += len(data)
        if self._out > FREE and self._out > MAX_RATIO * max(1, self._file.tell()):
            raise ArchiveError(self._path, "it unpacks to far more than it holds", self._out)
        if self._report is not None and self._out >= self._reported + REPORTED:
            self._reported = self._out
            self._report(self._file.tell(), os.fstat(self._file.fileno()).st_size)
        return data

    def close(self) -> None:
        self._file.close()


def _opened(kind: str, file: IO[bytes]) -> Any:
    # Each library is imported only for the archives that need it.
    if kind == "gzip":
        return _Gzip(file)
    if kind == "xz":
        return _Xz(file)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    if kind == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return file


class _Gzip:
    """The content of gzip members, one behind the other. gzip.GzipFile goes back to Python for every 8 KiB."""

    def __init__(self, file: IO[bytes]) -> None:
        import zlib

        self._file = file
        self._new: Callable[[], Any] = lambda: zlib.decompressobj(_GZIP)
        self._stream = self._new()
        self._packed = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end. Raises zlib.error and EOFError."""
        while True:
            if self._stream.eof:
                # What may follow a member is another one, or zeros (gzip's manual, "Using gzip on tapes").
                self._packed = self._stream.unused_data.lstrip(b"\0")
                while not self._packed:
                    packed = self._file.read(_CHUNK)
                    if not packed:
                        return b""
                    self._packed = packed.lstrip(b"\0")
                self._stream = self._new()
            elif not self._packed:
                self._packed = self._file.read(_CHUNK)
                if not self._packed:
                    raise EOFError("it ends in the middle of a stream")
            data = self._stream.decompress(self._packed, size)
            self._packed = self._stream.unconsumed_tail
            if data:
                return data


class _Xz:
    """The content of xz streams, one behind the other. lzma.LZMAFile lets a stream choose how much memory it takes."""

    def __init__(self, file: IO[bytes]) -> None:
        import lzma

        self._file = file
        self._new: Callable[[], lzma.LZMADecompressor] = lambda: lzma.LZMADecompressor(
            lzma.FORMAT_XZ, memlimit=MAX_WINDOW
        )
        self._stream = self._new()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end. Raises LZMAError and EOFError."""
        while True:
            if self._stream.eof:
                # What may follow a stream is another one, and zeros in fours before it (xz's file format, 2.2).
                packed = (self._stream.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                while not packed:
                    packed = self._file.read(_CHUNK)
                    if not packed:
                        return b""
                    packed = packed.lstrip(b"\0")
                self._stream = self._new()
            elif self._stream.needs_input:
                packed = self._file.read(_CHUNK)
                if not packed:
                    raise EOFError("it ends in the middle of a stream")
            else:
                packed = b""
            if data := self._stream.decompress(packed, size):
                return data

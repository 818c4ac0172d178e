"""Reads tar archives: ustar, PAX and GNU's forms, as a stream of members, trusting nothing that they say.

Our own reader, as an archive comes from anywhere and `tarfile`'s extraction could be led out of its folder up to
Python 3.11.13 (CVE-2025-4517). Nothing is written here: members go into a tree, where `..` and links have nowhere
to lead. Format: POSIX.1-2017 pax, and GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from envbuild.archive.limits import MAX_TIME, ArchiveError, Limits, Tally

BLOCK = 512
FILE_TYPES = (b"0", b"\0", b"7")
HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
MAX_XATTR = 1 << 16
MAX_HEADER = 1 << 20
"""Long names and PAX records of one member, larger than this many bytes, are refused."""
MAX_GLOBAL, MAX_GLOBAL_RECORDS = 1 << 16, 100
"""Bytes of PAX records for all members that follow, and how many these are: each member is looked at with them."""
KINDS = {HARD_LINK: "hard link", SYMBOLIC_LINK: "l", CHARACTER: "c", BLOCK_DEVICE: "b", DIRECTORY: "d", FIFO: "p"}


class Source(Protocol):
    """Uncompressed bytes, from the start to the end.

    `verified` tells whether a source that is cut short raises an error instead of just ending.
    """

    @property
    def verified(self) -> bool: ...

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `kind` is a letter as in tree entries, or "hard link" with its `target`; `mtime` is in
    nanoseconds; `sparse` are (offset, length) of the parts that the archive holds of a file with holes."""

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    device: tuple[int, int]
    sparse: tuple[tuple[int, int], ...] | None
    stored: int
    """Bytes that follow in the archive."""
    offset: int


class TarReader:
    """The members of one archive. Each member's content has to be read, or is passed over, before the next."""

    def __init__(self, source: Source, name: str, limits: Limits | None = None, tally: Tally | None = None) -> None:
        """`tally` counts on from archives that the limits are for together with this one."""
        self._source = source
        self._name = name
        self._limits = limits or Limits()
        self._tally = tally or Tally()
        self._offset = 0
        self._left = 0
        self._padding = 0

    @property
    def offset(self) -> int:
        """How many bytes were read: behind a member's header, where its content begins."""
        return self._offset

    def members(self) -> Iterator[Member]:
        """Yield all members in order. Raises ArchiveError."""
        globals_: dict[str, bytes] = {}
        local: dict[str, bytes] = {}
        first = True
        of_all = of_member = empty = 0
        while True:
            self._pass_over()
            start = self._offset
            header = self._read_block()
            if header is None:
                if empty == 0 and first:
                    raise self._error("not a tar archive: it is empty", start)
                if local or not (empty or self._source.verified):
                    raise self._error("the archive is cut short: its closing blocks are missing", start)
                # Some writers leave the closing blocks out; compression then tells that what is there is whole.
                return
            if not header.strip(b"\0"):
                empty += 1
                if empty == 2:
                    # Only at its end does a compressed stream show its checksum.
                    while self._source.read(1 << 20):
                        pass
                    return
                continue
            empty, first = 0, False
            self._tally.members += 1
            if self._tally.members > self._limits.members:
                raise self._error(f"more than {self._limits.members} members", start)
            self._verify(header, start)
            kind = header[156:157]
            if kind in (PAX, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK):
                body = self._read_header_body(header, start)
                if kind == PAX_GLOBAL:
                    globals_.update(self._records(body, start))
                    of_all += len(body)
                    if of_all > MAX_GLOBAL or len(globals_) > MAX_GLOBAL_RECORDS:
                        raise self._error("too many headers for all members", start)
                    continue
                of_member += len(body)
                if of_member > MAX_HEADER:
                    raise self._error("too many headers for one member", start)
                if kind == PAX:
                    local.update(self._records(body, start))
                else:
                    local["path" if kind == GNU_LONG_NAME else "linkpath"] = body.split(b"\0")[0]
                continue
            member = self._member(header, {**globals_, **local}, start)
            local, of_member = {}, 0
            yield member

    def read(self, size: int) -> bytes:
        """Return some of the current member's stored content; b"" at its end."""
        wanted = min(size, self._left)
        if wanted == 0:
            return b""
        data = self._source.read(wanted)
        if not data:
            raise self._error("the archive ends in the middle of a file", self._offset)
        self._left -= len(data)
        self._offset += len(data)
        return data

    def count_unwritten(self, size: int, offset: int, path: bytes) -> None:
        """Count bytes that files get without the archive holding them. Raises ArchiveError."""
        self._tally.unwritten += size
        if self._tally.unwritten > self._limits.holes:
            reason = f"more than {self._limits.holes} bytes that it does not hold: holes, or further names of files"
            raise self._error(reason, offset, path)

    def _member(self, header: bytes, pax: dict[str, bytes], start: int) -> Member:
        kind = header[156:157]
        path = pax.get("path")
        if path is None:
            path = header[0:100].split(b"\0")[0]
            prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
            path = prefix + b"/" + path if prefix else path
        is_directory = kind == DIRECTORY or (kind in FILE_TYPES and path.endswith(b"/"))
        size = self._pax_number(pax, "size", start) if "size" in pax else self._number(header[124:136], start)
        stored = size if kind in (*FILE_TYPES, GNU_SPARSE) and not is_directory else 0
        if kind not in (*FILE_TYPES, *KINDS, GNU_SPARSE):
            raise self._error(f"a member of the unknown type {kind!r}", start, path)
        if not 0 <= size <= self._limits.size:
            raise self._error(f"a file of {size} bytes, more than the limit", start, path)
        sparse: tuple[tuple[int, int], ...] | None = None
        if kind == GNU_SPARSE:
            sparse = self._old_sparse(header, start, path)
            size = self._number(header[483:495], start)
        self._left = stored
        self._padding = -stored % BLOCK
        if "GNU.sparse.major" in pax or "GNU.sparse.map" in pax or "GNU.sparse.size" in pax:
            sparse, size, path = self._pax_sparse(pax, start, path, size)
            stored = self._left
        if sparse is not None:
            self._check_sparse(sparse, size, stored, start, path)
            self.count_unwritten(size - sum(length for _, length in sparse), start, path)
        self._tally.total += size
        if self._tally.total > self._limits.total:
            raise self._error(f"more than {self._limits.total} bytes in all", start, path)
        xattrs = tuple(
            sorted((k[len("SCHILY.xattr.") :].encode(), v) for k, v in pax.items() if k.startswith("SCHILY.xattr."))
        )
        if any(len(value) > MAX_XATTR or not 0 < len(key) <= 255 or b"\0" in key for key, value in xattrs):
            raise self._error("an attribute whose name or value is too long", start, path)
        clean = self._path(path, start)
        target = pax.get("linkpath", header[157:257].split(b"\0")[0])
        if kind == HARD_LINK:
            target = self._path(target, start)
        elif kind == SYMBOLIC_LINK and not target:
            raise self._error("a link that leads nowhere", start, path)
        elif len(target) >= self._limits.path:
            raise self._error("a link that is too long", start, path)
        return Member(
            path=clean,
            kind="d" if is_directory else KINDS.get(kind, "f"),
            mode=self._number(header[100:108], start) & 0o7777,
            uid=self._id(pax, "uid", header[108:116], start),
            gid=self._id(pax, "gid", header[116:124], start),
            mtime=self._time(pax, header[136:148], start),
            size=0 if is_directory or kind in KINDS else size,
            target=target if kind in (HARD_LINK, SYMBOLIC_LINK) else b"",
            xattrs=xattrs,
            device=(self._number(header[329:337], start), self._number(header[337:345], start))
            if kind in (CHARACTER, BLOCK_DEVICE)
            else (0, 0),
            sparse=sparse,
            stored=stored,
            offset=start,
        )

    def _path(self, path: bytes, start: int) -> bytes:
        """Return a path below the root: without slashes at its ends, `.` parts or empty ones. `..` is refused."""
        if b"\0" in path:
            raise self._error("a name with a NUL byte", start, path)
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise self._error("a path that leads out of the archive", start, path)
        if len(parts) > self._limits.depth or len(path) > self._limits.path or any(len(p) > 255 for p in parts):
            raise self._error("a path that is too long or too deep", start, path[:100])
        return b"/".join(parts)

    def _number(self, field: bytes, start: int) -> int:
        if field[:1] in (b"\x80", b"\xff"):
            # GNU's form for what octal digits can't hold: base 256, two's complement.
            return int.from_bytes(field[1:], "big", signed=False) if field[0] == 0x80 else -1
        digits = field.split(b"\0")[0].strip()
        if digits.strip(b"01234567"):
            raise self._error(f"not a number: {field!r}", start)
        return int(digits or b"0", 8)

    def _pax_number(self, pax: dict[str, bytes], key: str, start: int) -> int:
        text = pax[key]
        if not text.isdigit() or len(text) > 20:
            raise self._error(f"a PAX record {key} that is not a number: {text[:40]!r}", start)
        return int(text)

    def _id(self, pax: dict[str, bytes], key: str, field: bytes, start: int) -> int:
        number = self._pax_number(pax, key, start) if key in pax else self._number(field, start)
        if not 0 <= number < 2**32 - 1:
            raise self._error(f"an impossible {key}: {number}", start)
        return number

    def _time(self, pax: dict[str, bytes], field: bytes, start: int) -> int:
        if "mtime" not in pax:
            return max(0, min(self._number(field, start), MAX_TIME)) * 1_000_000_000
        whole, _, part = pax["mtime"].partition(b".")
        if whole.startswith(b"-"):
            return 0
        if not whole.isdigit() or len(whole) > 11 or int(whole) > MAX_TIME or (part and not part.isdigit()):
            raise self._error(f"not a time: {pax['mtime'][:40]!r}", start)
        return int(whole) * 1_000_000_000 + int(part[:9].ljust(9, b"0") or b"0")

    def _old_sparse(self, header: bytes, start: int, path: bytes) -> tuple[tuple[int, int], ...]:
        pieces = self._pieces(header[386:482], start)
        more = header[482] == 1
        blocks = 0
        while more:
            block = self._read_block()
            blocks += 1
            if block is None or blocks > MAX_HEADER // BLOCK:
                raise self._error("a map of holes that does not end", start, path)
            pieces += self._pieces(block[:504], start)
            more = block[504] == 1
        return tuple(pieces)

    def _pieces(self, data: bytes, start: int) -> list[tuple[int, int]]:
        pieces = []
        for at in range(0, len(data) - 23, 24):
            if data[at] == 0:
                break
            pieces.append((self._number(data[at : at + 12], start), self._number(data[at + 12 : at + 24], start)))
        return pieces

    def _pax_sparse(
        self, pax: dict[str, bytes], start: int, path: bytes, size: int
    ) -> tuple[tuple[tuple[int, int], ...], int, bytes]:
        path = pax.get("GNU.sparse.name", path)
        if pax.get("GNU.sparse.major") == b"1":
            if "GNU.sparse.realsize" not in pax:
                raise self._error("a map of holes without the size of its file", start, path)
            size = self._pax_number(pax, "GNU.sparse.realsize", start)
            count = self._line_number(start, path)
            if count > MAX_HEADER // 4:
                raise self._error("a map of holes that is too long", start, path)
            numbers = [self._line_number(start, path) for _ in range(2 * count)]
            # The map fills whole blocks.
            while self._left and self._offset % BLOCK:
                self.read(BLOCK - self._offset % BLOCK)
        else:
            key = "GNU.sparse.realsize" if "GNU.sparse.realsize" in pax else "GNU.sparse.size"
            size = self._pax_number(pax, key, start) if key in pax else size
            texts = pax.get("GNU.sparse.map", b"").split(b",") if pax.get("GNU.sparse.map") else []
            if any(not text.isdigit() or len(text) > 20 for text in texts):
                raise self._error("a map of holes that is not a list of numbers", start, path)
            numbers = [int(text) for text in texts]
        if size > self._limits.size:
            raise self._error(f"a file of {size} bytes, more than the limit", start, path)
        return tuple(zip(numbers[::2], numbers[1::2], strict=False)), size, path

    def _line_number(self, start: int, path: bytes) -> int:
        digits = b""
        while (letter := self.read(1)) != b"\n":
            if not letter.isdigit() or len(digits) > 20:
                raise self._error("a map of holes that is not a list of numbers", start, path)
            digits += letter
        return int(digits or b"0")

    def _check_sparse(
        self, sparse: tuple[tuple[int, int], ...], size: int, stored: int, start: int, path: bytes
    ) -> None:
        at = 0
        held = 0
        for offset, length in sparse:
            if offset < at or length < 0 or offset + length > size:
                raise self._error("a map of holes that makes no sense", start, path)
            at = offset + length
            held += length
        if held > stored:
            raise self._error("a map of holes for more than the archive holds", start, path)

    def _read_header_body(self, header: bytes, start: int) -> bytes:
        size = self._number(header[124:136], start)
        if not 0 <= size <= MAX_HEADER:
            raise self._error(f"a header of {size} bytes", start)
        self._left, self._padding = size, -size % BLOCK
        body = b""
        while chunk := self.read(size):
            body += chunk
        return body

    def _records(self, body: bytes, start: int) -> dict[str, bytes]:
        return _pax(body, lambda reason: self._error(reason, start))

    def _verify(self, header: bytes, start: int) -> None:
        digits = header[148:156].split(b"\0")[0].strip()
        expected = -1 if not digits or digits.strip(b"01234567") else int(digits, 8)
        plain = header[:148] + b" " * 8 + header[156:]
        # Old writers took bytes for signed ones (GNU tar's manual, "Basic Tar Format").
        if expected != sum(plain) and expected != sum(byte - 256 if byte > 127 else byte for byte in plain):
            raise self._error("not a tar archive, or damaged: a header's checksum is wrong", start)

    def _pass_over(self) -> None:
        while self._left:
            self.read(1 << 20)
        while self._padding:
            data = self._source.read(self._padding)
            if not data:
                raise self._error("the archive ends in the middle of a block", self._offset)
            self._padding -= len(data)
            self._offset += len(data)

    def _read_block(self) -> bytes | None:
        data = b""
        while len(data) < BLOCK:
            part = self._source.read(BLOCK - len(data))
            if not part:
                break
            data += part
        self._offset += len(data)
        if not data:
            return None
        if len(data) < BLOCK:
            raise self._error("the archive ends in the middle of a header", self._offset)
        return data

    def _error(self, reason: str, offset: int, member: bytes = b"") -> ArchiveError:
        return ArchiveError(self._name, reason, offset, member)


def _pax(body: bytes, error: Callable[[str], ArchiveError]) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 12)
        if space == -1 or not body[at:space].isdigit():
            raise error("a PAX record without a length")
        end = at + int(body[at:space])
        if end <= space or end > len(body) or body[end - 1 : end] != b"\n":
            raise error("a PAX record of a wrong length")
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise error("a PAX record without a value")
        name = key.decode(errors="backslashreplace")
        if b"\0" in value and not name.startswith("SCHILY.xattr."):
            raise error(f"a NUL byte in the PAX record {name}")
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            # Version 0.0 repeats these; together they are the map of 0.1.
            records["GNU.sparse.map"] = b",".join(filter(None, (records.get("GNU.sparse.map"), value)))
        else:
            records[name] = value
        at = end
    return records

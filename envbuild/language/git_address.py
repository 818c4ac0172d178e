"""Addresses of git repositories as recipes have them: `git+https://HOST/REPOSITORY@REF`.

A recipe may be a stranger's: an address can't name a program (`ext::`), a repository of this machine (`file:`), or an
option of git or ssh.
"""

from __future__ import annotations

from envbuild.record import Record
from envbuild.text.pattern import Pattern

PREFIX = "git+"
SUBMODULES, KEEP_GIT = "submodules", "keep-git"
"""Options of a `fetch`, which its address has behind a `#`: what it makes is another file than that of the commit
alone."""
SCHEMES = ("https", "http", "ssh")
MAX_LENGTH = 2000
_REPOSITORY = Pattern(
    r"(https?|ssh)://([A-Za-z0-9_.+~][A-Za-z0-9_.+~-]*@)?"
    r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[^\s\"'<>\\?#\x00-\x1f\x7f]+)"
)
_SCP = Pattern(r"(?:ssh://)?([A-Za-z0-9_.+~][A-Za-z0-9_.+~-]*@[A-Za-z0-9][A-Za-z0-9.-]*):([^0-9/\s][^\s]*)")
_COMMIT = Pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = Pattern(r"[^\s\x00-\x20\x7f~^:?*\[\\\"'#]{1,250}")
FORM = "git+https://HOST/REPOSITORY@COMMIT, or a branch or tag behind the @"


class GitAddress(Record):
    """A repository and what is taken of it. `ref` is a branch, a tag or a commit; "" for the default branch."""

    repository: str
    ref: str = ""
    submodules: bool = False
    keep_git: bool = False

    @property
    def commit(self) -> str:
        """The commit where the recipe itself says it in full, else ""."""
        return self.ref if _COMMIT.fullmatch(self.ref) else ""

    @property
    def name(self) -> str:
        """What the repository is called."""
        return self.repository.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"


def is_git(url: str) -> bool:
    """Return whether the address of a `fetch` is that of a git repository."""
    return url.startswith(PREFIX)


def is_commit(text: str) -> bool:
    """Return whether a text is the whole id of a commit."""
    return bool(_COMMIT.fullmatch(text))


def with_options(url: str, options: list[str]) -> str:
    """Return an address with what a `fetch` says of it, some of the words above."""
    return f"{url}#{','.join(options)}" if options else url


def without_options(url: str) -> str:
    """Return an address as the recipe has it."""
    return _split(url)[0]


def _split(text: str) -> tuple[str, list[str]]:
    url, _, behind = text.rpartition("#")
    options = behind.split(",")
    known = [option for option in (SUBMODULES, KEEP_GIT) if option in options]
    return (url, known) if url and known == options else (text, [])


def git_address(text: str) -> GitAddress:
    """Return what an address means. Raises InvalidValue."""
    from envbuild.language.values import InvalidValue  # where a build has nothing to do, no address is read

    plain, options = _split(text)
    address = plain.removeprefix(PREFIX)
    if "#" in address:
        repository, _, ref = address.partition("#")
        hint = f"as in: {PREFIX}{repository}@{ref.partition(':')[0] or 'REF'}"
        raise InvalidValue("what is taken of a git repository stands behind an @", hint)
    scheme, separator, rest = address.partition("://")
    if not separator:
        return GitAddress(checked_repository(address))
    host, slash, path = rest.partition("/")
    # A `@` right behind a slash is part of a name: some hosts have repositories of /@USER.
    at = path.find("@")
    while (at > 0 and path[at - 1] == "/") or at == 0:
        at = path.find("@", at + 1)
    repository, ref = (path, "") if at < 0 else (path[:at], path[at + 1 :])
    if at >= 0 and not ref:
        raise InvalidValue(f"'{plain}' names nothing behind its @", f"as in: {FORM}")
    url = checked_repository(f"{scheme}://{host}{slash}{repository}")
    if ref and not _is_ref(ref):
        raise InvalidValue(f"'{ref}' is not a branch, a tag or a commit", f"as in: {FORM}")
    ref = ref.lower() if _COMMIT.fullmatch(ref.lower()) else ref
    return GitAddress(url, ref, SUBMODULES in options, KEEP_GIT in options)


def checked_repository(url: str) -> str:
    """Return the address of a repository as git takes it. Raises InvalidValue."""
    from envbuild.language.values import InvalidValue  # as above

    match = _REPOSITORY.fullmatch(url)
    if match is not None and len(url) <= MAX_LENGTH and url.isprintable() and not _leads_up(match[5]):
        return url
    scp = _SCP.fullmatch(url)
    if scp is not None:
        raise InvalidValue(f"'{url}' is not the address of a git repository", f"as in: git+ssh://{scp[1]}/{scp[2]}")
    scheme, _, rest = url.partition("://")
    if scheme in SCHEMES and ":" in rest.partition("/")[0].rpartition("@")[0]:
        hint = "git asks your credential helper, ~/.netrc or ssh agent for it (docs/security.md)"
        raise InvalidValue("an address in a recipe has no password", hint)
    hints = {
        "file": "copy the files from the context, or serve the repository; a recipe reads no others of this machine",
        "git": "git:// is neither encrypted nor signed: use git+https:// or git+ssh://",
    }
    raise InvalidValue(f"'{url[:200]}' is not the address of a git repository", hints.get(scheme, f"as in: {FORM}"))


def scp_form(url: str) -> str:
    """Return the address that `USER@HOST:PATH` is short for; another one as it is."""
    match = _SCP.fullmatch(url)
    return f"ssh://{match[1]}/{match[2]}" if match is not None else url


def _leads_up(path: str) -> bool:
    return any(part in (".", "..") for part in path.split("/"))


def _is_ref(ref: str) -> bool:
    """Return whether git may have a branch or a tag of this name (git-check-ref-format(1))."""
    if not _REF.fullmatch(ref) or not ref.isprintable() or ref[0] in "-/" or ref[-1] in "/.":
        return False
    parts = ref.split("/")
    return (
        ".." not in ref
        and "@{" not in ref
        and all(part and part[0] != "." and not part.endswith(".lock") for part in parts)
    )

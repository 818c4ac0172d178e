"""What can go wrong with a registry."""

from __future__ import annotations

from envbuild.errors import UsageError, WorkFailed, fields


class RegistryError(WorkFailed):
    """A registry did not do what it was asked for."""


@fields
class Unreachable(RegistryError):
    """No connection to a registry or its token server, or one that breaks."""

    host: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.host}: {self.reason}", "see whether the host and its port are right, then run the command again"


@fields
class NotEncrypted(RegistryError):
    """A registry that would have to be spoken to without encryption, or whose certificate nobody vouches for."""

    host: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.host}: {self.reason}",
            f"put the certificate of its authority into /etc/docker/certs.d/{self.host}/ca.crt; "
            "or, where nobody can listen or answer in its place, --insecure",
        )


@fields
class Unauthorized(RegistryError):
    """A registry does not let us in. `user` is who we were there, "" for nobody."""

    host: str
    what: str
    user: str = ""
    reason: str = ""

    def text(self) -> tuple[str, str]:
        as_whom = f" as {self.user}" if self.user else ""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.host}: unauthorized{as_whom}: {self.what}{reason}", f"envbuild login {self.host}"


@fields
class Denied(RegistryError):
    """A registry knows who we are and does not allow it."""

    host: str
    what: str
    user: str = ""
    reason: str = ""

    def text(self) -> tuple[str, str]:
        whom = self.user or "whoever is not logged in"
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"{self.host} does not allow {whom}: {self.what}{reason}",
            f"ask for the right to it; or as somebody else: envbuild login {self.host}",
        )


@fields
class NotInRegistry(UsageError):
    """A registry has no such image or repository."""

    reference: str
    host: str

    def text(self) -> tuple[str, str]:
        repository = self.reference.partition("@")[0]
        last = repository.rpartition("/")
        repository = last[0] + last[1] + last[2].partition(":")[0]
        return f"there is no {self.reference}", f"see what there is: envbuild remote ls {repository}"


@fields
class RegistryRefuses(RegistryError):
    """An answer that says that it did not work, for another reason."""

    host: str
    what: str
    status: int
    reason: str

    def text(self) -> tuple[str, str]:
        mend = "its log knows more" if self.status >= 500 else "see whether it can do this, and may"
        if self.status == 429:
            mend = "it has too much to do, or you asked too often: try again later"
        return f"{self.host}: {self.what}: {self.status} {self.reason}".rstrip(), mend


@fields
class BadAnswer(RegistryError):
    """An answer that no registry may give: another content than asked for, more than there is to be, an address where
    it has no business to send us."""

    host: str
    what: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.host}: {self.what}: {self.reason}", "nothing of it was used; ask who runs the registry"


@fields
class BadAuthFile(UsageError):
    """A file with logins that is not as docker and podman write it."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "mend it, or move it away and log in again"


@fields
class HelperFailed(RegistryError):
    """A program that keeps passwords did not do what it was asked for."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.name}: {self.reason}",
            "it is named by credsStore or credHelpers in docker's or podman's file of logins",
        )

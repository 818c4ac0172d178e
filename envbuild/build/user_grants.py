"""What only the user can give to a step: secrets, the SSH agent, devices. A build that lacks some of it is refused
before its first step runs."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.language.statement_parts import DEFAULT_AGENT, Place, RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from envbuild.build.request import BuildRequest
    from envbuild.language.model import Run, Test

_START = 'start one, and add your key: eval "$(ssh-agent)"; ssh-add'


@fields
class NoSuchSecret(UsageError):
    """A step wants a secret that the build was not given."""

    name: str
    place: Place | None = None

    def text(self) -> tuple[str, str]:
        at = f"{self.place.file}:{self.place.line}: " if self.place is not None else ""
        return (
            f"{at}the step needs the secret '{self.name}'",
            f"give it with: --secret {self.name}=FILE, or in the environment: "
            f"{self.name}=... envbuild build --secret {self.name}",
        )


@fields
class NoAgent(UsageError):
    """A step wants the user's SSH agent, and the build was not given it."""

    name: str

    def text(self) -> tuple[str, str]:
        return (
            "the step asks for your SSH agent, which signs whatever the step wants while it runs",
            f"allow it with: --ssh {self.name}",
        )


@fields
class AgentMissing(UsageError):
    """The SSH agent that a build was given does not answer."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"there is no SSH agent for --ssh {self.name}: {self.reason}", _START


def agent_of(agents: Mapping[str, str], name: str) -> str:
    """Return the socket of the agent that a build was given by this name. Raises NoAgent and AgentMissing."""
    if name not in agents:
        raise NoAgent(name)
    if not agents[name]:
        raise AgentMissing(name, "SSH_AUTH_SOCK is not set")
    return agents[name]


class GrantCheck:
    """Looks at statements that are going to run; `note` is told what is worth knowing."""

    def __init__(self, request: BuildRequest, note: Callable[[str, str], None]) -> None:
        self._secrets = dict(request.secrets)
        self._agents = dict(request.agents)
        self._devices = request.devices
        self._note = note
        self._asked: set[str] = set()

    def concerns(self, options: RunOptions) -> bool:
        """Tell whether there is something to check: for most commands there is not."""
        return bool(options.ssh or options.devices or options.secrets)

    def check(self, statement: Run | Test) -> None:
        """Raise a UsageError, with the statement, if it wants what the user has not given."""
        options = statement.options
        words: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
            **{f"secret={name}": (self._check_secret, (name, statement.place)) for name in options.secrets},
            **{f"device={path}": (self._check_device, (path,)) for path in options.devices},
        }
        if options.ssh:
            word = "ssh" if options.ssh == DEFAULT_AGENT else f"ssh={options.ssh}"
            words[word] = self._check_agent, (options.ssh,)
        for word, (look, what) in words.items():
            try:
                look(*what)
            except UsageError as error:
                from envbuild.language.statement_error import point_at

                point_at(error, statement.place, statement.text, (word,))
                raise

    def _check_secret(self, name: str, place: Place) -> None:
        if name not in self._secrets:
            raise NoSuchSecret(name, place)

    def _check_device(self, device: str) -> None:
        from envbuild.build.devices import check_device

        check_device(device, self._devices)

    def _check_agent(self, name: str) -> None:
        from envbuild.build.agent_relay import AgentSilent, count_keys

        path = agent_of(self._agents, name)
        if path in self._asked:
            return
        self._asked.add(path)
        try:
            keys = count_keys(path)
        except AgentSilent as error:
            raise AgentMissing(name, f"{path}: {error}") from error
        if not keys:
            self._note("your SSH agent has no keys", "add one: ssh-add")

"""/etc/pam.d/common-*, as pam-auth-update(8) makes them, from the profiles of the packages of a cut.

This machine's own files may name modules for its own directory service, which the cut does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from envbuild.debian.deb822 import stanzas

FILES = {
    "common-account": "Account",
    "common-auth": "Auth",
    "common-password": "Password",
    "common-session": "Session",
    "common-session-noninteractive": "Session",
}
"""Each file, and the kind of its modules."""
_END = re.compile(r"\bend\b")


@dataclass(frozen=True, slots=True)
class Profile:
    """One file of /usr/share/pam-configs: its fields by their names in lower case."""

    name: str
    fields: dict[str, str]

    def get(self, field: str) -> tuple[str, ...]:
        """Return the lines of a field, () if it has none."""
        return tuple(line for line in self.fields.get(field.lower(), "").split("\n") if line)

    @property
    def priority(self) -> int:
        text = "".join(self.get("Priority"))
        return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def parse_profile(name: str, text: str) -> Profile:
    """Return a profile from its text: fields as in a control file (pam-auth-update's PAMConfigFrameworkSpec)."""
    fields: dict[str, str] = {}
    for stanza in stanzas(text):
        fields |= stanza
    return Profile(name, fields)


def pam_file(name: str, template: str, profiles: list[Profile]) -> str:
    """Return the file `name` from its template, with the modules of all profiles that are on by default."""
    kind = FILES[name]
    chosen = [profile for profile in profiles if profile.get("Default") == ("yes",)]
    if name.endswith("noninteractive"):
        chosen = [profile for profile in chosen if profile.get("Session-Interactive-Only") != ("yes",)]
    chosen.sort(key=lambda profile: (-profile.priority, profile.name))
    word = "session_nonint" if name.endswith("noninteractive") else kind.lower()
    blocks = {}
    for block in ("Primary", "Additional"):
        of_block = [profile for profile in chosen if (profile.get(f"{kind}-Type") or ("Primary",)) == (block,)]
        lines: list[str] = []
        for number, profile in enumerate(of_block):
            initial = profile.get(f"{kind}-Initial") if number == 0 else ()
            lines += initial or profile.get(kind) or profile.get(f"{kind}-Final")
        # `end` jumps over the modules that are left in the block, and over the refusal that follows it.
        if block == "Primary" and not lines:
            lines = ["[default=end]\t\t\tpam_permit.so"]
        numbered = (_END.sub(str(len(lines) - at), line) for at, line in enumerate(lines))
        blocks[f"${word}_{block.lower()}"] = "".join(f"{kind.lower()}\t{line}\n" for line in numbered)
    return "".join(blocks.get(line.strip(), line) for line in template.splitlines(keepends=True))

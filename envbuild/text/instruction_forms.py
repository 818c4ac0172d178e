"""What a recipe says for an instruction of a Dockerfile, where the words behind it tell more than the instruction does.

Its words are read as they are on the first line: what is meant is shown, and nothing is built of it.
"""

from __future__ import annotations

MAX_PACKAGES = 12
"""Packages of an installation that are named."""
MAX_LINE = 1_000
"""Characters of an instruction that is looked at; a form would be as long."""
_ENDS = ("&&", "||", ";", "\\", "|")
_MOUNTS = {"cache": "cache", "bind": "mount", "tmpfs": "tmpfs", "secret": "secret", "ssh": "ssh"}
_HEALTH = {
    "--interval": "every",
    "--timeout": "timeout",
    "--retries": "retries",
    "--start-period": "start-period",
    "--start-interval": "start-interval",
}
_COPY = {"--from": "from", "--chown": "owner", "--chmod": "mode", "--exclude": "exclude"}


def form_of(instruction: str, rest: str) -> str:
    """Return the statement that `rest`, the words behind an instruction in lower case, asks for; an empty text where
    it says nothing more."""
    if len(rest) > MAX_LINE:
        return ""
    flags, words = _flags_of(rest)
    match instruction:
        case "run":
            return _form_of_run(flags, words)
        case "copy" | "add":
            options = _options(flags, _COPY)
            return f"copy({options}) SOURCE ... -> DESTINATION" if options else ""
        case "healthcheck":
            options = _options(flags, _HEALTH)
            if words[:1] in (["NONE"], ["none"]):
                return "health none"
            return f"health({options}) COMMAND" if options else ""
        case _:
            return ""


def _flags_of(rest: str) -> tuple[list[str], list[str]]:
    """Return the options of an instruction, which come first, and its other words."""
    words = rest.replace(";", " ; ").split()
    count = next((place for place, word in enumerate(words) if not word.startswith("--")), len(words))
    return words[:count], words[count:]


def _options(flags: list[str], names: dict[str, str]) -> str:
    pairs = (flag.partition("=") for flag in flags)
    return ", ".join(f"{names[name]}={value}" for name, _, value in pairs if name in names and value)


def _form_of_run(flags: list[str], words: list[str]) -> str:
    mounts = [mount for flag in flags if flag.startswith("--mount=") and (mount := _mount_of(flag[8:]))]
    if mounts:
        return f"run({', '.join(mounts)}) COMMAND"
    for place in range(len(words) - 1):
        program, verb = words[place : place + 2]
        if program in ("apt-get", "apt"):
            # Options may stand on both sides of the verb.
            after = [word for word in words[place + 1 :] if not word.startswith("-")]
            if after[:1] == ["install"]:
                return f"apt {' '.join(_until_end(after[1:])) or 'PACKAGE ...'}"
        if program in ("pip", "pip3") and verb == "install":
            named = [word for word in _until_end(words[place + 2 :]) if word == "-r" or not word.startswith("-")]
            return f"pip(into=/opt/venv) {' '.join(named) or 'PACKAGE ...'}"
        if program == "npm" and verb in ("ci", "install", "i"):
            named = [word for word in _until_end(words[place + 2 :]) if not word.startswith("-")]
            return f"npm(into=/srv/app) {' '.join(named) or '-r .'}"
    if words and words[0].startswith("<<"):
        return "run, and below it the lines, indented"
    return ""


def _until_end(words: list[str]) -> list[str]:
    count = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
    return words[: min(count, MAX_PACKAGES)]


def _mount_of(text: str) -> str:
    """Return the option of `run` for what BuildKit's `--mount=` says; an empty text if there is none like it."""
    given = {name: value for name, _, value in (part.partition("=") for part in text.split(","))}
    option = _MOUNTS.get(given.get("type", "bind"), "")
    target = given.get("target") or given.get("dst") or given.get("destination") or ""
    match option:
        case "cache" | "tmpfs" | "mount" if not target:
            return ""
        case "cache" | "tmpfs":
            return f"{option}={target}"
        case "mount":
            source = given.get("source") or given.get("src") or "."
            if "from" in given:
                return f"mount={given['from']}:/{source.lstrip('./')}:{target}"
            return f"mount={source}:{target}"
        case "secret":
            return f"secret={given['id']}" if given.get("id") else ""
        case _:
            return option

"""The options of a statement, checked and converted to their values."""

from __future__ import annotations

from envbuild.language import keywords, values
from envbuild.language.keywords import KEYWORDS, WHEN
from envbuild.language.network_hosts import network
from envbuild.language.origins import is_origin
from envbuild.language.reader import Reader
from envbuild.language.statement_parts import DEFAULT_AGENT, BindMount, CacheMount, TmpfsMount
from envbuild.language.syntax import BlockLine, Option, StatementSyntax, WordLine
from envbuild.text.pattern import Pattern
from envbuild.text.sizes import MAX_SIZE, parse_size
from envbuild.text.suggestion import did_you_mean
from envbuild.tree.file_mode import Mode, is_change

_OTHER_MOUNT = Pattern(r"([^/]\S*):(/[^:]*):(/[^:]*)")
"""STAGE:SRC:DST: both paths begin at the root."""


class Options:
    """The values of one statement's options."""

    def __init__(self) -> None:
        self.given: dict[str, list[object]] = {}
        self.wanted = True
        """Whether every `when=` holds."""

    def flag(self, name: str) -> bool:
        return name in self.given

    def network(self) -> bool | str:
        """Return what `network` says (model.RunOptions)."""
        value = self._first("network")
        return value if isinstance(value, str) else self.flag("network")

    def text(self, name: str) -> str | None:
        value = self._first(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self.given.get(name, ()) if isinstance(value, str))

    def whole(self, name: str) -> int | None:
        value = self._first(name)
        return value if isinstance(value, int) else None

    def mode(self) -> Mode | None:
        """Return what `mode` says of files: their permission bits, or how these change."""
        value = self._first("mode")
        return value if isinstance(value, (int, str)) else None

    def seconds(self, name: str) -> float | None:
        value = self._first(name)
        return value if isinstance(value, float) else None

    def _first(self, name: str) -> object:
        """Return the value; None if the option was not given, or its value is wrong."""
        return next(iter(self.given.get(name, ())), None)

    def caches(self) -> tuple[CacheMount, ...]:
        return tuple(value for value in self.given.get("cache", ()) if isinstance(value, CacheMount))

    def tmpfs(self) -> tuple[TmpfsMount, ...]:
        return tuple(value for value in self.given.get("tmpfs", ()) if isinstance(value, TmpfsMount))

    def devices(self) -> tuple[str, ...]:
        """Return the devices that are named, each once; their order does not matter."""
        return tuple(sorted(set(self.texts("device"))))

    def mounts(self) -> tuple[BindMount, ...]:
        return tuple(value for value in self.given.get("mount", ()) if isinstance(value, BindMount))


def read_options(statement: StatementSyntax, reader: Reader) -> Options:
    """Return the statement's options. Wrong ones are reported and left out."""
    keyword = KEYWORDS[statement.keyword]
    known = {**keyword.options, **({"when": WHEN} if keyword.in_stage else {})}
    options = Options()
    for option in statement.options:
        kind = known.get(option.name)
        if kind is None:
            _refuse(statement, option, known, reader)
        elif option.name in options.given and not kind.repeats:
            reader.error(option.span, f"option '{option.name}' is given twice", "once is enough")
        elif kind.kind == keywords.CONDITION:
            options.given.setdefault(option.name, [])
            options.wanted &= _condition(option, reader)
        else:
            options.given.setdefault(option.name, [])
            value = _value(kind.kind, option, reader)
            if value is None:
                continue
            if "cache" in known and option.name in keywords.QUALIFIES_CACHE:
                _qualify(option, value, options.given.get("cache", []), reader)
            else:
                options.given[option.name].append(value)
    return options


def wanted_lines(statement: StatementSyntax, reader: Reader) -> StatementSyntax | None:
    """Return the statement without the lines of its block whose `when=` do not hold; None if it had words, and only in
    such lines. What is wrong with a condition is reported, and unknown parameters of a line that is dropped."""
    if not any(isinstance(line, WordLine) and line.options for line in statement.block):
        return statement
    block: list[BlockLine] = []
    for line in statement.block:
        if not isinstance(line, WordLine):
            continue
        wanted = True
        for option in line.options:
            if option.name == "when":
                wanted &= _condition(option, reader)
            else:
                reader.error(option.span, f"a line takes no option '{option.name}'", "it takes when=NAME==VALUE")
        if wanted:
            block.append(line)
        else:
            expand = reader.expand_environment if statement.keyword == "env" else reader.expand_parts
            for word in line.words:
                expand(word.parts)
    return statement.replace(block=tuple(block)) if block or statement.words else None


def _qualify(option: Option, value: object, caches: list[object], reader: Reader) -> None:
    """Put what an option says into the cache that stands before it."""
    cache = caches[-1] if caches else None
    if not isinstance(cache, CacheMount):
        reader.error(
            option.span, f"option '{option.name}' says more of a cache, and none stands before it", _EXAMPLE_OF_CACHE
        )
    elif getattr(cache, option.name) not in ("", None):
        reader.error(option.span, f"option '{option.name}' is given twice for {cache.target}", "once is enough")
    else:
        caches[-1] = cache.replace(**{option.name: value})


def _refuse(statement: StatementSyntax, option: Option, known: dict[str, keywords.OptionKind], reader: Reader) -> None:
    if not known:
        reader.error(option.span, f"{statement.keyword} takes no options", "white space follows the keyword")
        return
    mode = next((given for given in statement.options if given.name == "mode" and given.value is not None), None)
    if (
        mode is not None
        and mode.value is not None
        and is_change(option.name if option.value is None else _written(option))
    ):
        clauses = f"{mode.value.literal()},{_written(option)}"
        reader.error(option.span, f"unknown option '{option.name}' for {statement.keyword}", f'as in: mode="{clauses}"')
        return
    elsewhere = [name for name, keyword in KEYWORDS.items() if option.name in keyword.options]
    takes = f"{statement.keyword} takes: {', '.join(sorted(known))}"
    hint = did_you_mean(option.name, known, takes)
    if elsewhere:
        message = f"option '{option.name}' belongs to {', '.join(elsewhere)}, not to {statement.keyword}"
        reader.error(option.span, message, hint)
    else:
        reader.error(option.span, f"unknown option '{option.name}' for {statement.keyword}", hint)


def _written(option: Option) -> str:
    return option.name if option.value is None else f"{option.name}={option.value.literal()}"


def _value(kind: str, option: Option, reader: Reader) -> object:
    if kind == keywords.FLAG:
        if option.value is not None:
            reader.error(option.value.span, f"option '{option.name}' takes no value", f"write just {option.name}")
        return True
    if option.value is None and kind in (keywords.NETWORK, keywords.SOURCE):
        return True
    if option.value is None and kind == keywords.AGENT:
        return DEFAULT_AGENT
    if option.value is None:
        reader.error(option.span, f"option '{option.name}' needs a value", f"as in: {option.name}={_EXAMPLES[kind]}")
        return None
    text = reader.expand(option.value)
    if text is None:
        return None
    return reader.checked(_CHECKS[kind], text, option.value.span)


def _mount(text: str) -> BindMount:
    other = _OTHER_MOUNT.fullmatch(text)
    if other is not None:
        if not is_origin(other[1]):
            hint = "a mount can show a stage, NAME:TAG, image:NAME or recipe:FILE, as in mount=build:/out:/mnt/out"
            raise values.InvalidValue(f"'{other[1]}' is not a stage or an image", hint)
        return BindMount(other[2], values.absolute(other[3]), other[1])
    source, colon, target = text.partition(":")
    if not source or not colon:
        raise values.InvalidValue(
            f"'{text}' is not a valid mount", "a mount is SOURCE:DESTINATION, as in mount=data:/mnt/data"
        )
    return BindMount(source, values.absolute(target))


def _tmpfs(text: str) -> TmpfsMount:
    target, colon, limit = text.partition(":")
    size = parse_size(limit) if colon else 0
    if colon and (not size or size >= MAX_SIZE):
        raise values.InvalidValue(f"'{limit}' is not a valid size", "as in: tmpfs=/build:512m")
    return TmpfsMount(values.absolute(target), size or 0)


def _cache(text: str) -> CacheMount:
    return CacheMount(values.absolute(text))


def _condition(option: Option, reader: Reader) -> bool:
    """Return whether NAME==VALUE or NAME!=VALUE holds; True if it is malformed, so that the rest is checked too."""
    shape = "as in: when=NAME==VALUE or when=NAME!=VALUE"
    if option.value is None:
        reader.error(option.span, "option 'when' needs a condition", shape)
        return True
    span = option.value.span
    text = reader.expand(option.value)
    if text is None:
        return True
    equal, unequal = text.find("=="), text.find("!=")
    cut = min((position for position in (equal, unequal) if position >= 0), default=-1)
    if cut < 0:
        reader.error(span, f"'{text}' is not a valid condition", shape)
        return True
    name, wanted = text[:cut].strip(), text[cut + 2 :].strip()
    scope = reader.scope
    value = scope.use(name, reader.where(span))
    if value is None:
        message = f"unknown parameter '{name}' in a condition"
        scope.unknown.append((name, reader.diagnostic(span, message, did_you_mean(name, scope.values, shape))))
        return True
    choices = scope.choices.get(name)
    if choices and wanted not in choices:
        hint = did_you_mean(wanted, choices, f"it can be: {', '.join(choices)}")
        reader.error(span, f"parameter '{name}' is never '{wanted}'", hint)
    return (value == wanted) == (cut == equal)


_CHECKS = {
    keywords.TEXT: values.text,
    keywords.SOURCE: values.text,
    keywords.DIRECTORY: values.absolute,
    keywords.DURATION: values.duration,
    keywords.COUNT: values.count,
    keywords.MODE: values.mode,
    keywords.FILE_MODE: values.file_mode,
    keywords.OWNER: values.owner,
    keywords.MOUNT: _mount,
    keywords.TMPFS: _tmpfs,
    keywords.SHA256: values.sha256,
    keywords.SECRET: values.name,
    keywords.INIT: values.init,
    keywords.CACHE: _cache,
    keywords.NAME: values.name,
    keywords.IDENTITY: values.identity,
    keywords.NETWORK: network,
    keywords.NODE_MANAGER: values.node_manager,
    keywords.AGENT: values.name,
    keywords.DEVICE: values.device,
    keywords.PLATFORM: values.platform,
}
_EXAMPLE_OF_CACHE = "as in: cache=/root/.cache/pip, id=pip"
_EXAMPLES = {
    keywords.TEXT: "VALUE",
    keywords.DIRECTORY: "/DIRECTORY",
    keywords.DURATION: "10m",
    keywords.COUNT: "3",
    keywords.MODE: "0644",
    keywords.FILE_MODE: "0644",
    keywords.OWNER: "NAME",
    keywords.MOUNT: "SOURCE:DESTINATION",
    keywords.TMPFS: "/DIRECTORY",
    keywords.SHA256: "DIGEST",
    keywords.SECRET: "NAME",
    keywords.INIT: "none",
    keywords.CACHE: "/DIRECTORY",
    keywords.NAME: "NAME",
    keywords.IDENTITY: "1000",
    keywords.NODE_MANAGER: "pnpm",
    keywords.DEVICE: "/dev/fuse",
    keywords.PLATFORM: "linux/arm64",
}

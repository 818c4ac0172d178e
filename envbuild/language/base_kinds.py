"""The kinds of bases that a stage starts from, as frozen data: a closed family."""

from __future__ import annotations

from envbuild.record import Record, assert_never

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.language.statement_parts import Place


class Scratch(Record):
    """`from scratch`: an empty tree."""

    place: Place


class Host(Record):
    """`from host(PROGRAM, ...)`: this machine's Debian packages; `programs` is empty where none are listed."""

    place: Place
    programs: tuple[str, ...] = ()


class Debian(Record):
    """`from debian:SUITE`: a minimal Debian."""

    place: Place
    suite: str


class Tarball(Record):
    """`from tar:PATH`: an archive; its path is relative to `folder`."""

    place: Place
    path: str
    folder: str


class ImageFileBase(Record):
    """`from oci:PATH`: an image of other tools, a layout or an archive; its path is relative to `folder`. `tag` is
    which of several, "" for the only one."""

    place: Place
    path: str
    tag: str
    folder: str


class ImageBase(Record):
    """`from image:REFERENCE`: an image of the store, or one that a lock in git names."""

    place: Place
    reference: str
    folder: str


class StageBase(Record):
    """`from NAME`: an earlier stage of the same recipe."""

    place: Place
    name: str


class RecipeBase(Record):
    """`from recipe:PATH`: the image of another recipe; its path is relative to `folder`."""

    place: Place
    path: str
    folder: str


class ReservedBase(Record):
    """A base that the language has and no build can make yet: `kind` is registry."""

    place: Place
    kind: str
    argument: str


Base = Scratch | Host | Debian | Tarball | ImageFileBase | ImageBase | StageBase | RecipeBase | ReservedBase


def base_text(base: Base) -> str:
    """Return the base as a recipe has it after `from`."""
    match base:
        case Scratch():
            return "scratch"
        case Host(programs=programs):
            return f"host({', '.join(programs)})" if programs else "host"
        case Debian(suite=suite):
            return f"debian:{suite}"
        case Tarball(path=path):
            return f"tar:{path}"
        case ImageFileBase(path=path, tag=tag):
            return f"oci:{path}:{tag}" if tag else f"oci:{path}"
        case ImageBase(reference=reference):
            return f"image:{reference}"
        case StageBase(name=name):
            return name
        case RecipeBase(path=path):
            return f"recipe:{path}"
        case ReservedBase(kind=kind, argument=argument):
            return f"{kind}:{argument}"
        case _:
            return assert_never(base)

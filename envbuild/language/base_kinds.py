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
    which of several, "" for the only one, `platform` for which machine, "" for this one's."""

    place: Place
    path: str
    tag: str
    folder: str
    platform: str = ""


class RegistryBase(Record):
    """`from registry:HOST/PATH[:TAG][@DIGEST]`: an image of a registry, `platform` as for a file's."""

    place: Place
    reference: str
    platform: str = ""


class ImageBase(Record):
    """`from image:REFERENCE`: an image of the store, or one that a lock in git names."""

    place: Place
    reference: str
    folder: str


class CaptureBase(Record):
    """`from capture:NAME`: a captured machine of the store, outside of all projects. `reference` is its name, and which
    of its captures (`laptop@{2}`); the lock pins the one that was meant first."""

    place: Place
    reference: str


class StageBase(Record):
    """`from NAME`: an earlier stage of the same recipe."""

    place: Place
    name: str


class RecipeBase(Record):
    """`from recipe:PATH`: the image of another recipe; its path is relative to `folder`."""

    place: Place
    path: str
    folder: str


Base = (
    Scratch | Host | Debian | Tarball | ImageFileBase | RegistryBase | ImageBase | CaptureBase | StageBase | RecipeBase
)


def base_text(base: Base) -> str:
    """Return the base as a recipe has it after `from`, and for which platform, where it says that."""
    match base:
        case Scratch():
            return "scratch"
        case Host(programs=programs):
            return f"host({', '.join(programs)})" if programs else "host"
        case Debian(suite=suite):
            return f"debian:{suite}"
        case Tarball(path=path):
            return f"tar:{path}"
        case ImageFileBase(path=path, tag=tag, platform=platform):
            return f"oci:{path}{f':{tag}' if tag else ''}{_for(platform)}"
        case RegistryBase(reference=reference, platform=platform):
            return f"registry:{reference}{_for(platform)}"
        case ImageBase(reference=reference):
            return f"image:{reference}"
        case CaptureBase(reference=reference):
            return f"capture:{reference}"
        case StageBase(name=name):
            return name
        case RecipeBase(path=path):
            return f"recipe:{path}"
        case _:
            return assert_never(base)


def _for(platform: str) -> str:
    return f" ({platform})" if platform else ""

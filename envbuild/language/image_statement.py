"""The statement `image NAME from STAGE`: a stage that is an image, whichever stage is the last."""

from __future__ import annotations

from envbuild.language import values
from envbuild.language.reader import Reader
from envbuild.language.syntax import Span, StatementSyntax
from envbuild.record import Record
from envbuild.text.suggestion import did_you_mean

_FORM = "as in: image web-debug from debug"


class NamedImage(Record):
    """A name for the image of a stage, and where the stage is named."""

    name: str
    stage: str
    reader: Reader
    span: Span


def read_image(statement: StatementSyntax, reader: Reader, known: list[NamedImage]) -> NamedImage | None:
    """Return what the statement says; None, after reporting it, where it is wrong. `known` are those above."""
    words = reader.words(statement)
    if len(words) != 3 or words[1].literal() != "from":
        span = words[min(1, len(words) - 1)].span if words else statement.span
        reader.error(span, "image takes a name, and the stage that it is", _FORM)
        return None
    name, stage = (
        None if (text := reader.expand(word)) is None else reader.checked(values.name, text, word.span)
        for word in (words[0], words[2])
    )
    if name is None or stage is None:
        return None
    if any(image.name == name for image in known):
        reader.error(words[0].span, f"an image named '{name}' already exists", "each image has its own name")
        return None
    return NamedImage(name, stage, reader, words[2].span)


def numbered(images: list[NamedImage], stages: list[str | None]) -> tuple[tuple[str, int], ...]:
    """Return the images with the numbers of their stages; report those that the recipe does not have."""
    numbered_images = []
    for image in images:
        if image.stage in stages:
            numbered_images.append((image.name, stages.index(image.stage)))
            continue
        named = [stage for stage in stages if stage]
        otherwise = f"its stages are: {', '.join(named)}" if named else "name one: from BASE as STAGE"
        hint = did_you_mean(image.stage, named, otherwise)
        image.reader.error(image.span, f"there is no stage '{image.stage}'", hint)
    return tuple(numbered_images)

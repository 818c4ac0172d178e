"""`render`: filling a jinja2 template in a sandboxed environment. Imported only when one is rendered."""

from __future__ import annotations

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from envbuild.errors import UsageError

Pairs = tuple[tuple[str, str], ...]


class BadTemplate(UsageError):
    """The template can't be filled; the message names its file and, where jinja2 knows it, the line."""

    def __init__(self, path: str, line: int | None, reason: str) -> None:
        place = path if line is None else f"{path}:{line}"
        super().__init__(
            f"{place}: {reason}",
            "a template sees the recipe's parameters, `recipe`, `arch` and `env`; nothing else",
        )


def render(source: bytes, path: str, variables: Pairs, environment: Pairs) -> bytes:
    """The text of the template `source`, filled in. `path` is for messages. Raises BadTemplate."""
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        raise BadTemplate(path, None, f"not UTF-8 text (byte {error.start})") from error
    jinja = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    try:
        filled = jinja.from_string(text).render({**dict(variables), "env": dict(environment)})
    except TemplateSyntaxError as error:
        raise BadTemplate(path, error.lineno, error.message or "syntax error") from error
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise BadTemplate(path, _line_of(error), str(error)) from error
    return filled.encode()


def _line_of(error: Exception) -> int | None:
    """The template's line: jinja2 puts frames named <template> with true line numbers into the traceback."""
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<template>":
            line = step.tb_lineno
        step = step.tb_next
    return line

"""`environment` and `env_file` of a service."""

from __future__ import annotations

from envbuild.compose.file.dotenv import BadVariables, read_variables
from envbuild.compose.file.reader import Reader
from envbuild.compose.file.values import boolean, variable
from envbuild.compose.file.yaml_nodes import List, Map, Node
from envbuild.language.syntax import Span
from envbuild.language.values import InvalidValue
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def read_environment(reader: Reader, nodes: Mapping[str, Node]) -> Pairs:
    """Return the variables of `env_file` and, going before them, of `environment`."""
    variables: dict[str, str] = {}
    for path, required, span in _env_files(reader, nodes["env_file"]) if "env_file" in nodes else ():
        try:
            variables.update(read_variables(path, reader.variables))
        except FileNotFoundError:
            if required:
                hint = "or say so: {path: FILE, required: false}"
                reader.error(span, f"there is no file {reader.shown_path(path)}", hint)
        except BadVariables as bad:
            reader.error(span, bad.at(reader.shown_path(path)))
    for name, value, span in reader.pairs(nodes["environment"], "environment") if "environment" in nodes else ():
        try:
            variable(name)
        except InvalidValue as no:
            reader.error(span, no.message, no.hint)
            continue
        if value is not None:
            variables[name] = value
        elif name in reader.variables:
            variables[name] = reader.variables[name]
        else:
            variables.pop(name, None)
    return tuple(variables.items())


def _env_files(reader: Reader, node: Node) -> list[tuple[str, bool, Span]]:
    """Return (path, whether it has to be there, place)."""
    files = []
    for item in node.items if isinstance(node, List) else (node,):
        required = True
        path: Node | None = item
        if isinstance(item, Map):
            given = {
                entry.key.text: entry.value
                for entry in reader.entries(item, "env_file", ("path", "required", "format"))
            }
            path = given.get("path")
            required = "required" not in given or reader.checked(boolean, given["required"], "required") is not False
        text = None if path is None else reader.text(path, "env_file")
        if path is None:
            reader.error(item.span, "env_file needs a path", "as in: path: ./web.variables")
        elif text is not None:
            files.append((reader.host_path(text), required, path.span))
    return files

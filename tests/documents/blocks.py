"""The blocks of code of a page, and the commands in its text.

What a block is stands behind its backticks (CONTRIBUTING.md, "Documents"): a language, and words that say when it runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

LANGUAGES = {"console", "sh", "env", "yaml", "json", "text", "dockerfile"}
WORDS = {"nightly", "ci"}


@dataclass(frozen=True)
class Block:
    """A block of code: `line` is that of its first line of text."""

    page: Path
    line: int
    language: str
    words: frozenset[str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The file that a recipe or a compose file is written to: the one that its first line names."""
        named = re.match(r"# ([\w./-]+\.(?:env|yaml))\b", self.text) if self.language in ("env", "yaml") else None
        return named[1] if named else ""


@dataclass(frozen=True)
class Command:
    """A line of a `console` block that begins with `$ `, the exit code that a comment behind it names, and what stands
    below it: "" where anything may be printed."""

    text: str
    code: int
    printed: str


def blocks_of(page: Path) -> list[Block]:
    """Return a page's blocks."""
    blocks = []
    begun: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif begun is None:
            begun, lines = (number + 1, line[3:]), []
        else:
            language, *words = begun[1].split() or [""]
            blocks.append(Block(page, begun[0], language, frozenset(words), "\n".join(lines) + "\n"))
            begun = None
    return blocks


def indented_blocks(page: Path) -> list[int]:
    """Return the lines at which blocks begin that say nothing of themselves: indented by four, after an empty line."""
    lines = re.sub(r"^```.*?^```$", lambda fenced: "\n" * fenced[0].count("\n"), page.read_text(), flags=re.M | re.S)
    return [lines.count("\n", 0, gap.start()) + 3 for gap in re.finditer(r"\n\n {4}(?=\S)", lines)]


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a `console` block."""
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            code = re.search(r"  # exit code (\d+)$", line)
            commands.append(Command(line[2:], int(code[1]) if code else 0, ""))
        else:
            assert commands, f"{block.place} begins with a command: $ COMMAND"
            last = commands[-1]
            commands[-1] = Command(last.text, last.code, f"{last.printed}{line}\n")
    return commands


def is_printed(expected: str, printed: str) -> bool:
    """Tell whether this was printed: `...` stands for any text, and a line of only that for any lines."""
    pattern = ""
    for line in expected.splitlines():
        pattern += r"(?:.*\n)*" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else f"{printed}\n") is not None


def in_text(page: Path) -> list[tuple[int, str]]:
    """Return the commands of envbuild in a page's text and tables, each with its line."""
    text = re.sub(r"^```.*?^```$", lambda fenced: "\n" * fenced[0].count("\n"), page.read_text(), flags=re.M | re.S)
    return [
        (text.count("\n", 0, quoted.start()) + 1, " ".join(quoted[1].split()))
        for quoted in re.finditer(r"`(envbuild [^`]+)`", text)
    ]

"""Whatever the text of a file is, it is read, or what is wrong is told."""

from contextlib import suppress
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as some

from envbuild.compose.file.load import load_group
from envbuild.compose.file.service import KEYS
from envbuild.errors import UsageError

GOOD = """\
x-base: &base {restart: always}
services:
  db:
    <<: *base
    image: "db"
    ports: ["80:80/udp", {target: 1}]
    volumes: [data:/x, ./a:/b:ro, {type: tmpfs, target: /t}]
    depends_on: {web: {condition: service_healthy}}
    healthcheck: {test: [CMD, a], interval: 1s}
  web: {image: ${A:-b}, environment: {A: 1, B: }, deploy: {resources: {limits: {cpus: "1"}}}}
volumes: {data: }
networks: {default: {name: n}}
"""
PIECES = ("{", "}", "[", "]", ": ", "- ", "&a ", "*a ", "<<: ", "\n", "  ", "\t", "'", '"', "${", "$", "!!str ", "# ",
          "|\n", "~", "0", "null", "? ", "\0", "\u2028", "ü", "\ud800")  # fmt: skip


def read(folder: Path, text: str) -> None:
    path = folder / "any-text" / "services.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(UsageError):
        load_group(str(path), {}, "/home/ada")


@given(some.integers(0, len(GOOD)), some.integers(0, 12), some.lists(some.sampled_from(PIECES), max_size=3))
@settings(max_examples=150)
def test_a_good_file_with_slips_of_the_hand(tmp_path_factory, at, cut, put):
    read(tmp_path_factory.getbasetemp(), GOOD[:at] + "".join(put) + GOOD[at + cut :])


VALUES = some.recursive(
    some.sampled_from(("", "~", "a", "1", "$A", "${A:?x}", "/a", "a:b", "0x1", "CMD", '"\\ud800"', '"\\0"', "1s", "*")),
    lambda inner: (
        some.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | some.dictionaries(some.sampled_from((*KEYS, "target", "type", "a")), inner, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(some.dictionaries(some.sampled_from((*KEYS, "build", "zzz")), VALUES, max_size=4))
@settings(max_examples=300)
@example({"healthcheck": "{test: []}"})
def test_any_value_of_any_key(tmp_path_factory, keys):
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    read(tmp_path_factory.getbasetemp(), f"services:\n  web:\n    user: x\n{lines}")

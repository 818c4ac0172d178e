"""Versions and markers mean what Python's own library for them says."""

import itertools

import pytest
from packaging.markers import Marker, default_environment
from packaging.specifiers import InvalidSpecifier, Specifier
from packaging.version import Version as Reference

from envbuild.packages.markers import MAX_DEPTH, MAX_MARKER, BadMarker, Surroundings, holds
from envbuild.packages.python_versions import BadSpecifier, Version, compare, meets

VERSIONS = (
    *(
        "1",
        "1.0",
        "1.0.0",
        "1.0.dev3",
        "1.0a1",
        "1.0a1.dev2",
        "1.0b2.post3",
        "1.0rc1",
        "1.0c1",
        "1.0.post0",
        "1.0-1",
        "1.0.post1.dev2",
    ),
    *(
        "1.0+local",
        "1.0+ubuntu.10",
        "1.0+ubuntu.9",
        "1.0.1",
        "1.1",
        "1.10",
        "1.9",
        "2!0.1",
        "v1.2",
        "3.11.2",
        "3.11",
        "3.11.0rc1",
        "2024.1",
    ),
)
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "~=", "===")


def test_versions_are_ordered_as_the_reference_does():
    for combination, other in itertools.combinations(VERSIONS, 2):
        if "+" in combination or "+" in other:
            continue
        assert (Version(combination).order < Version(other).order) == (Reference(combination) < Reference(other)), (
            combination,
            other,
        )
        assert (Version(combination).order == Version(other).order) == (Reference(combination) == Reference(other)), (
            combination,
            other,
        )


def test_comparisons_hold_where_the_reference_says_so():
    compared = 0
    for operator, want in itertools.product(OPERATORS, [*VERSIONS, "1.*", "1.0.*", "3.11.*"]):
        try:
            reference = Specifier(operator + want, prereleases=True)
        except InvalidSpecifier:
            continue
        for have in VERSIONS:
            said = f"{have} {operator}{want}"
            assert compare(have, operator, want) == reference.contains(have), said
            compared += 1
    assert compared > 2000


@pytest.mark.parametrize("text", ["", "one", "1..2", "1.0-", "1" * 400, "1.0; rm", "1.0 2"])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(BadSpecifier):
        Version(text)
    with pytest.raises(BadSpecifier):
        meets("1.0", f">={text}" if text else ">=")


def test_markers_hold_where_the_reference_says_so():
    environment = {**default_environment(), "python_version": "3.11", "python_full_version": "3.11.2"}
    for marker in (
        "python_version >= '3.9'",
        "'3.12' <= python_version",
        "python_version in '3.10, 3.11'",
        "python_version not in '2.7'",
        "python_full_version < '3.11.3' and sys_platform == 'linux'",
        "(os_name == 'nt' or os_name == \"posix\") and platform_machine != 'none'",
        "os_name == 'nt' or os_name == 'posix' and sys_platform == 'win32'",
        "sys_platform == 'win32' and (python_version < '3.8' or implementation_name == 'pypy')",
        "platform_python_implementation == 'CPython'",
        "python_version ~= '3.8'",
        "python_version != '3.*'",
        "implementation_version >= '3'",
    ):
        assert holds(marker, Surroundings(environment)) == Marker(marker).evaluate(environment), marker


def test_markers_ask_for_extras_and_groups():
    around = Surroundings({}, frozenset({"web-ui"}), frozenset({"dev"}))
    assert holds("extra == 'Web_UI'", around)
    assert holds("'web.ui' in extras and 'dev' in dependency_groups", around)
    assert not holds("'docs' in dependency_groups or extra == 'other'", around)
    assert holds("extra != 'other'", around)
    assert holds("", around)


@pytest.mark.parametrize(
    "marker",
    [
        "os_name",
        "os_name ==",
        "os_name == 'a' and",
        "(os_name == 'a'",
        "__import__ == 'os'",
        "os_name == 'a' 'b'",
        "os_name == $HOME",
        "extra < 'a'",
        "(" * (MAX_DEPTH + 1) + "os_name == 'a'" + ")" * (MAX_DEPTH + 1),
        "os_name == '" + "a" * MAX_MARKER + "'",
    ],
)
def test_what_is_no_marker_is_refused(marker):
    with pytest.raises(BadMarker):
        holds(marker, Surroundings({}))

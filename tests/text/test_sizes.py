"""Sizes mean the same wherever they are written."""

from __future__ import annotations

import pytest

from envbuild.cli.run_settings import size as size_of_option
from envbuild.compose.file.values import size as size_of_service
from envbuild.errors import UsageError
from envbuild.language.values import InvalidValue
from envbuild.text.sizes import format_size, parse_size

SIZES = [
    ("77", 77),
    ("77b", 77),
    ("1k", 1 << 10),
    ("64kb", 64 << 10),
    ("1KiB", 1 << 10),
    ("500m", 500 << 20),
    ("500M", 500 << 20),
    ("500MB", 500 << 20),
    ("1.5 MB", 3 << 19),
    ("1.5g", 3 << 29),
    ("20GB", 20 << 30),
    ("2T", 2 << 40),
    ("1p", 1 << 50),
    ("9007199254740993", (1 << 53) + 1),
]
NOT_SIZES = ["", "i", "b", "ib", "m", "-1m", "1e3", "nan", "1.m", ".5m", "1 000", "٣", "9" * 20, "1x", "1mm", "1im"]


@pytest.mark.parametrize(("text", "count"), SIZES)
def test_a_size_is_read_as_docker_reads_it(text, count):
    assert parse_size(text) == count
    assert size_of_option(text, "--memory") == count
    assert size_of_service(text) == count


@pytest.mark.parametrize("text", NOT_SIZES)
def test_what_is_not_a_size(text):
    assert parse_size(text) is None
    with pytest.raises(UsageError):
        size_of_option(text, "--memory")
    with pytest.raises(InvalidValue):
        size_of_service(text)


@pytest.mark.parametrize("text", ["0", "8192p"])
def test_limits_are_more_than_nothing_and_no_more_than_the_kernel_counts(text):
    with pytest.raises(UsageError):
        size_of_option(text, "--memory")
    with pytest.raises(InvalidValue):
        size_of_service(text)


@pytest.mark.parametrize("count", [0, 999, 1023, 1024, 1536, 500 << 20, 3 << 29, 20 << 30, 2 << 40, 1 << 50, 7 << 60])
def test_what_is_shown_means_the_same_when_it_is_given_back(count):
    assert parse_size(format_size(count)) == count

"""Templates run in no sandbox of the system: what they compute is bounded, and the same each time."""

from __future__ import annotations

import pytest

from envbuild.build.template import BadTemplate, render
from tests.attacks.limited import limited
from tests.conftest import Project

BOMBS = {
    "loops in loops": "\n{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a range": "\n{{ range(10**9)|list|length }}",
    "a recursive loop": "\n{% for a in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "a macro that calls itself": "\n{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a text that doubles": "{% set ns = namespace(a='x') %}\n"
    "{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
    "a number that squares": "{% set ns = namespace(a=3) %}\n"
    "{% for i in range(60) %}{% set ns.a = ns.a * ns.a %}{% endfor %}{{ ns.a }}",
    "a power": "\n{{ 9 ** 99999999 }}",
    "a repeated text": "\n{{ 'a' * 10000000000 }}",
    "a repeated list": "\n{{ ([1] * 10000000000)|length }}",
    "a filter's width": "\n{{ 'a'|center(10000000000) }}",
    "a width of format": "\n{{ '%0999999999d'|format(1) }}",
    "a width of the method format": "\n{{ '{:>9999999999}'.format(1) }}",
    "a replacement": "\n{{ ('a' * 99999)|replace('', 'b' * 99999)|length }}",
    "another template": "\n{% include 'other' %}",
    "random": "\n{{ [1, 2]|random }}",
    "lipsum": "\n{{ lipsum() }}",
    "an address of memory": "\n{{ range }}",
    "an address of memory in a list": "\n{{ [env.items] }}",
    "a generator": "\n{{ [1]|map('string') }}",
    "Python": "\n{{ ''.__class__.__mro__ }}",
}
WITHOUT_LINE = {
    "much text": "{% for a in range(99999) %}" + "x" * 500 + "{% endfor %}",
    "brackets": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "operators": "{{ " + " + ".join(["1"] * 20_000) + " }}",
    "half a character": r"{{ '\ud800' }}",
    "a large template": "x" * 5_000_000,
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_an_error_with_its_line(case: str):
    with pytest.raises(BadTemplate) as caught:
        render(BOMBS[case].encode(), "conf.j2", (("x", "1"),), (("A", "b"),))
    assert caught.value.message.startswith("conf.j2:2: ")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("case", WITHOUT_LINE)
def test_a_bomb_without_a_line_is_an_error(case: str):
    with pytest.raises(BadTemplate, match=r"conf\.j2: "):
        render(WITHOUT_LINE[case].encode(), "conf.j2", (), ())


def test_what_templates_are_for_still_goes():
    text = (
        "{% set ports = [80, 443] %}{% macro line(p) %}listen {{ p }};{% endmacro %}"
        "{% for p in ports if p > 80 %}{{ line(p) }}{{ loop.index }}{% endfor %} {{ env.MODE|upper }} "
        "{{ name|replace('a', 'b') }} {{ '%05d'|format(7) }} {{ '=' * 20 }} {{ range(3)|list }} {{ {'a': [1, none]} }} "
        "{{ 2 ** 16 }} {{ name|tojson }} {{ dict(a=1).items()|list }}\n"
    )
    filled = render(text.encode(), "conf.j2", (("name", "data"),), (("MODE", "fast"),)).decode()
    assert filled == (
        "listen 443;1 FAST dbtb 00007 ==================== [0, 1, 2] {'a': [1, None]} 65536 \"data\" [('a', 1)]\n"
    )


@pytest.mark.namespaces
def test_a_build_tells_the_place(project: Project):
    (project.folder / "conf.j2").write_text("one\n{% for a in range(99999) %}{{ 'x' * 9999999 }}{% endfor %}\n")
    project.write("web.env", "from tar:busybox.tar", "render conf.j2 -> /conf")
    done = limited(project, "build", "web.env", memory=1 << 30, seconds=30)
    assert done.returncode == 2, done.stderr
    assert "conf.j2" in done.stderr
    assert "web.env:2" in done.stderr

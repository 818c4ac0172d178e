"""Recipes as a user writes them, and the model that they mean."""

from hashlib import sha256
from pathlib import Path

import pytest

from envbuild.language.base_kinds import (
    Debian,
    Host,
    ImageBase,
    ImageFileBase,
    RecipeBase,
    RegistryBase,
    Scratch,
    StageBase,
    Tarball,
    base_text,
)
from envbuild.language.load import load_recipe
from envbuild.language.model import NoHealth
from envbuild.language.statement_parts import BindMount, CacheMount, Command, EnvironmentReference, Place, RunOptions
from envbuild.text.diagnostics import RecipeErrors

EXAMPLE = Path(__file__).parent / "example.env"


def only(recipe):
    (statement,) = recipe.stages[-1].statements
    return statement


def test_the_example_of_the_language_page():
    recipe = load_recipe(str(EXAMPLE), {}, arch="amd64")
    wheels, web = recipe.stages
    folder = str(EXAMPLE.parent)
    assert (recipe.name, recipe.parameters) == ("web", (("python", "3.11"),))
    assert recipe.files == ((str(EXAMPLE), sha256(EXAMPLE.read_bytes()).hexdigest()),)
    assert (wheels.name, web.name) == ("wheels", None)
    assert web.base == Debian(Place(str(EXAMPLE), 10), "bookworm")
    assert wheels.statements[2].options == RunOptions(network=True, caches=(CacheMount("/root/.cache/pip"),))
    kinds = "Apt AddUser Copy Pip Copy Render File Env WorkDir User Run Test Expose Volume Health Start"
    assert [type(statement).__name__ for statement in web.statements] == kinds.split()
    apt, adduser, copy, pip, source, render, file, env, workdir, user, run, check, expose, volume, health, start = (
        web.statements
    )
    assert apt.packages == ("python3.11", "nginx=1.22.*", "curl")
    assert (adduser.name, adduser.uid, adduser.home) == ("app", 1000, "/srv/app")
    assert (copy.sources, copy.destination, copy.origin) == (("/wheels/",), "/wheels/", "wheels")
    assert (pip.into, pip.requirement_files, pip.find_links) == ("/opt/venv", ("requirements.txt",), ("/wheels",))
    assert (source.owner, source.exclude, source.folder) == ("app", ("**/__pycache__",), folder)
    assert render.parameters == (("arch", "amd64"), ("python", "3.11"), ("recipe", "web"))
    assert (file.path, file.content, file.mode) == ("/etc/motd", "You are inside web.\n", 0o644)
    assert env.values == (("PATH", ("/opt/venv/bin:/usr/bin:/bin",)), ("APP_ENV", ("production",)))
    assert (workdir.directory, user.name) == ("/srv/app", "app")
    assert run.command == Command("python -m compileall -q .\npython -m app --warm-up")
    assert check.command.text == "python -m app --self-check"
    assert (expose.ports, volume.directories) == (("8080/tcp",), ("/srv/data",))
    assert (health.every, health.timeout, health.retries) == (10.0, 2.0, 3)
    assert start.argv == ("python", "-m", "app")


def test_the_name_is_the_files_stem_unless_it_is_given(load):
    assert load("from scratch\n").name == "web"
    assert load("recipe shop-${arch}\nfrom scratch\n").name == "shop-amd64"


def test_line_ends_byte_order_mark_and_a_missing_last_newline_do_not_matter(load):
    plain = load("from scratch\nrun\n    a\n    b\n")
    other = load(b"\xef\xbb\xbffrom scratch\r\nrun\r\n\ta\r\n\tb")
    assert only(plain).command == only(other).command == Command("a\nb")


def test_text_of_a_command_is_untouched(load):
    assert only(load('from scratch\nrun echo "#" # ${HOME}  \\${x}\n')).command.text == 'echo "#" # ${HOME}  \\${x}'


def test_a_subshell_is_no_option(load):
    assert only(load("from scratch\nrun (cd src; make)\n")).command.text == "(cd src; make)"


def test_a_block_keeps_its_inner_indentation_and_loses_column_0_comments(load):
    text = "from scratch\nrun\n      if x\n# dropped\n\n        then y # kept\n      fi\n\n# after\n"
    assert only(load(text)).command.text == "if x\n\n  then y # kept\nfi"


def test_a_backslash_continues_a_command(load):
    assert only(load("from scratch\nrun a \\\n    b \\\n    c\n")).command.text == "a \\\nb \\\nc"


def test_parameters_are_given_to_commands_that_mention_them(load):
    recipe = load('param a = 1\nparam b = 2\nparam c = 3\nfrom scratch\nrun echo $b "${a:-x}" $cc $arch\n')
    assert only(recipe).command.parameters == (("a", "1"), ("arch", "amd64"), ("b", "2"))


def test_words_are_quoted_in_part(load):
    statement = only(load('param v = "a b"\nfrom scratch\nlabel x="1 \\"2\\" \\${v} ${v}"-${v}# y=\\${v} z=""  # no\n'))
    assert statement.values == (("x", '1 "2" ${v} a b-a b#'), ("y", "${v}"), ("z", ""))


def test_env_sees_parameters_and_leaves_the_rest_to_the_stage(load):
    statement = only(load('param v = 3\nfrom scratch\nenv PATH="/opt/${v}:${PATH}" B="a b"\n'))
    path = ("/opt/3:", EnvironmentReference("PATH", 3, 21))
    assert statement.values == (("PATH", path), ("B", ("a b",)))


def test_settings_go_before_defaults(load, errors_of):
    text = "param mode = debug in debug release\nfrom scratch\nlabel mode=${mode}\n"
    assert only(load(text, settings={"mode": "release"})).values == (("mode", "release"),)
    assert errors_of(text, settings={"mod": "x", "arch": "y"}) == [
        ("the parameter 'arch' can't be set", "web.env", 0, 0, "it is predefined"),
        ("the recipe has no parameter 'mod' to set", "web.env", 0, 0, "did you mean 'mode'?"),
    ]
    (wrong,) = errors_of(text, settings={"mode": "relaese"})
    assert wrong[0] == "the parameter 'mode' can't be 'relaese' (from --set)"
    assert wrong[4] == "did you mean 'release'?"


def test_when_drops_a_statement_that_is_still_checked(load, errors_of):
    text = "param mode = debug\nfrom scratch\nlabel(when=mode==debug) a=1\nlabel(when=mode!=debug) b=2\n"
    assert only(load(text)).values == (("a", "1"),)
    assert only(load(text, settings={"mode": "x"})).values == (("b", "2"),)
    assert errors_of("param m = 1\nfrom scratch\napt(when=m==2) Foo\n")[0][0] == "'Foo' is not a valid Debian package"


def test_an_include_brings_statements_paths_and_parameters(load):
    recipe = load(
        "param base = 1\nfrom scratch\ninclude sub/a.env version=3\nlabel v=${version}\n",
        sub__a="param version = 2\ninclude b.env\n",
        sub__b="copy x-${version}-${base} -> /x\n",
    )
    copy, label = recipe.stages[0].statements
    assert (copy.sources, copy.folder, copy.place) == (("x-3-1",), "sub", Place("sub/b.env", 1))
    assert label.values == (("v", "3"),)
    assert [path for path, _ in recipe.files] == ["web.env", "sub/a.env", "sub/b.env"]
    assert recipe.parameters == (("base", "1"), ("version", "3"))


def test_a_file_may_be_included_twice_with_other_parameters(load):
    recipe = load("from scratch\ninclude a.env n=1\ninclude a.env n=2\n", a="param n = 0\nlabel a=${n}\n")
    assert [statement.values for statement in recipe.stages[0].statements] == [(("a", "1"),), (("a", "2"),)]


def test_a_setting_goes_before_what_an_include_gives(load):
    recipe = load("from scratch\ninclude a.env n=1\n", a="param n = 0\nlabel a=${n}\n", settings={"n": "9"})
    assert only(recipe).values == (("a", "9"),)


def test_an_include_may_be_conditional(load):
    text = "param x = 1\nfrom scratch\ninclude(when=x==2) a.env\n"
    assert load(text, a="label a=1\n").stages[0].statements == ()
    assert only(load(text, a="label a=1\n", settings={"x": "2"})).values == (("a", "1"),)


PLACE = Place("web.env", 1)


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("scratch", Scratch(PLACE)),
        ("host", Host(PLACE)),
        ("debian:trixie", Debian(PLACE, "trixie")),
        ("tar:../root.tar.zst", Tarball(PLACE, "../root.tar.zst", ".")),
        ("oci:layout:1.0", ImageFileBase(PLACE, "layout", "1.0", ".")),
        ("oci:web.tar", ImageFileBase(PLACE, "web.tar", "", ".")),
        ("registry:example.org:5000/a/b:1", RegistryBase(PLACE, "example.org:5000/a/b:1")),
        ("image:web:1", ImageBase(PLACE, "web:1", ".")),
        ("recipe:base.env", RecipeBase(PLACE, "base.env", ".")),
    ],
)
def test_bases(load, word, base):
    read = load(f"from {word} as a # comment\n").stages[0].base
    assert read == base
    assert base_text(read) == word


def test_a_platform_chooses_an_image(load):
    text = "from(platform=linux/arm64) oci:layout\nfrom(platform=linux/arm/v7) registry:localhost/a\n"
    first, second = (stage.base for stage in load(text).stages)
    assert (first.platform, second.platform) == ("linux/arm64", "linux/arm/v7")
    assert [base_text(base) for base in (first, second)] == [
        "oci:layout (linux/arm64)",
        "registry:localhost/a (linux/arm/v7)",
    ]


def test_a_host_base_lists_programs_and_a_stage_is_a_base(load):
    first, second = load("from host(bash, python3) as tools\nfrom tools\n").stages
    assert (first.base, first.name) == (Host(PLACE, ("bash", "python3")), "tools")
    assert base_text(first.base) == "host(bash, python3)"
    assert second.base == StageBase(Place("web.env", 2), "tools")


def test_all_options_of_run(load):
    text = "run(network, cache=/a, cache=/b, secret=t, mount=d:/d, user=1:2, workdir=/w, timeout=1h30m, shell=bash) x"
    options = only(load(f"from scratch\n{text}\n")).options
    mounts, caches = (BindMount("d", "/d"),), (CacheMount("/a"), CacheMount("/b"))
    assert options == RunOptions(True, caches, ("t",), mounts, "1:2", "/w", 5400.0, "bash")


def test_a_cache_has_an_id_an_owner_and_a_mode_of_its_own(load):
    options = only(load("from scratch\nrun(cache=/a, cache=/b, id=pip, uid=7, mode=0700) x\n")).options
    assert options.caches == (CacheMount("/a"), CacheMount("/b", "pip", 7, 0o700))


@pytest.mark.parametrize("given", ["id=x, cache=/a", "cache=/a, id=x, id=y", "cache=/a, uid=app", "cache=/a, id=../x"])
def test_what_qualifies_no_cache_is_refused(load, given):
    with pytest.raises(RecipeErrors):
        load(f"from scratch\nrun({given}) x\n")


def test_pip_and_npm(load):
    text = "pip(into=/v)\n    -r a.txt -c b.txt  # all\n    flask>=2\nnpm(into=/n, scripts) left-pad@^1 -r web\n"
    pip, npm = load(f"from scratch\n{text}").stages[0].statements
    assert (pip.requirements, pip.requirement_files, pip.constraint_files) == (("flask>=2",), ("a.txt",), ("b.txt",))
    assert (npm.packages, npm.project, npm.scripts, npm.manager) == (("left-pad@^1",), "web", True, "")
    assert only(load("from scratch\nnpm(into=/n, manager=pnpm) -r web\n")).manager == "pnpm"


def test_a_list_has_its_parameters_replaced_and_a_shell_test_is_no_list(load):
    assert only(load('param p = 80\nfrom scratch\nstart ["a", "${p}"] # x\n')).argv == ("a", "80")
    assert only(load('from scratch\nstart [ "$x" = y ] && z\n')).command.text == '[ "$x" = y ] && z'


def test_an_entry_is_a_list_and_its_parameters_are_replaced(load):
    assert only(load('param p = 80\nfrom scratch\nentry ["a", "${p}"] # x\n')).argv == ("a", "80")


def test_a_range_of_ports_is_each_of_them(load):
    assert only(load("from scratch\nexpose 8000-8002/udp 80\n")).ports == ("8000/udp", "8001/udp", "8002/udp", "80/tcp")


def test_a_check_has_times_for_the_start_and_may_be_none(load):
    check, none = (
        load("from scratch\nhealth(start-period=1m, start-interval=500ms) x\nhealth none\n").stages[0].statements
    )
    assert (check.start_period, check.start_interval, check.every) == (60, 0.5, 30)
    assert isinstance(none, NoHealth)


def test_facts_are_normalised(load):
    text = "from scratch\nexpose 80 53/udp\nstop sigterm\nunset env:A expose:80 start\n"
    expose, stop, unset = load(text).stages[0].statements
    assert (expose.ports, stop.signal) == (("80/tcp", "53/udp"), "TERM")
    assert unset.names == ("env:A", "expose:80/tcp", "start")


def test_an_empty_or_missing_recipe_and_a_folder_are_told(errors_of, tmp_path):
    (empty,) = errors_of("", path="other.env")
    assert empty[:2] == ("the recipe has no 'from'", "other.env")
    with pytest.raises(RecipeErrors, match=r"there is no recipe 'none\.env'"):
        load_recipe("none.env", {}, arch="amd64")
    with pytest.raises(RecipeErrors, match="is a directory, not a recipe"):
        load_recipe(str(tmp_path), {}, arch="amd64")


def test_many_errors_take_no_longer_than_their_number(errors_of):
    assert len(errors_of("from scratch\n" + "rnu x\n" * 2000)) == 2000

"""Lock files of uv, Poetry, Pipenv and pip: what they pin for a Python, and those that mislead."""

import json

import pytest

from envbuild.packages.documents import Fields
from envbuild.packages.manager import Contents
from envbuild.packages.python_locks.document import UnusableLockFile
from envbuild.packages.python_locks.files import files_of
from envbuild.packages.python_locks.formats import addresses_in_lock_files, needs_project, read_lock_file
from envbuild.packages.python_locks.pinned import Choice, TargetPython
from envbuild.packages.python_project import what_decides
from envbuild.packages.toml_text import MAX_LINE

TAGS = ["cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-manylinux_2_17_x86_64", "cp311-abi3-linux_x86_64"]
LINUX = TargetPython.read(
    Fields(
        {
            "markers": {
                "sys_platform": "linux",
                "os_name": "posix",
                "python_version": "3.11",
                "python_full_version": "3.11.2",
                "platform_machine": "x86_64",
            },
            "tags": [*TAGS, "py3-none-any"],
        },
        "a Python",
    )
)


def digits(name: str) -> str:
    return (name.encode().hex() * 64)[:64]


def pinned(path: str, text: str, project: str = "", **choice: set[str]) -> list[str]:
    """What a lock file comes to: the names of wheels, and the requirements of what has to be built."""
    contents: Contents = ((path, text.encode()),)
    if project:
        graph = needs_project(path, text.encode())
        contents += (("pyproject.toml", what_decides("pyproject.toml", project.encode(), graph=graph)),)
    chosen = Choice(*(frozenset(choice.get(kind, set())) for kind in ("extra", "group", "without")))
    packages, lines = files_of(path, read_lock_file(path, dict(contents), chosen, LINUX), LINUX)
    return [*(package.origin.removeprefix("index/") for package, _ in packages), *lines]


def uv_package(name: str, *lines: str, version: str = "1.0", source: str = "") -> str:
    source = source or '{ registry = "https://index.invalid/simple" }'
    wheel = f"https://files.invalid/{name}-{version}-py3-none-any.whl"
    return "\n".join(
        [
            "[[package]]",
            f'name = "{name}"',
            f'version = "{version}"',
            f"source = {source}",
            *lines,
            *(
                []
                if any("wheels" in line or "sdist" in line for line in lines)
                else [f'wheels = [{{ url = "{wheel}", hash = "sha256:{digits(name)}" }}]']
            ),
            "",
        ]
    )


BEST = "beta-2.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
"""The wheel that fits best."""
REGISTRY = 'source = { registry = "https://index.invalid/simple" }'
UV = "\n".join(
    [
        "version = 1",
        "revision = 3",
        'requires-python = ">=3.9"',
        uv_package(
            "alpha",
            'dependencies = [{ name = "beta", extra = ["fast"] }, { name = "gamma", marker = "os_name == \'nt\'" }]',
        ),
        '[[package]]\nname = "beta"\nversion = "2.0"\nsource = { registry = "https://index.invalid/simple" }\n'
        f'wheels = [{{ url = "https://f.invalid/beta-2.0-py3-none-any.whl", hash = "sha256:{digits("b1")}" }}, '
        f'{{ url = "https://f.invalid/{BEST}", hash = "sha256:{digits("b2")}" }}, '
        f'{{ url = "https://f.invalid/beta-2.0-cp311-cp311-win_amd64.whl", hash = "sha256:{digits("b3")}" }}]\n'
        '[package.optional-dependencies]\nfast = [{ name = "delta" }]\n',
        uv_package("gamma"),
        uv_package("delta"),
        uv_package("epsilon"),
        uv_package("zeta"),
        uv_package("eta"),
        uv_package(
            "shop",
            'dependencies = [{ name = "alpha" }]',
            "wheels = []",
            "[package.optional-dependencies]",
            'web = [{ name = "epsilon" }]',
            "[package.dev-dependencies]",
            'dev = [{ name = "zeta" }]',
            'docs = [{ name = "eta" }]',
            source='{ editable = "." }',
        ),
    ]
)
PLAIN = [
    "alpha-1.0-py3-none-any.whl",
    "beta-2.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "delta-1.0-py3-none-any.whl",
]


def test_uv_follows_the_project_with_its_markers_and_takes_the_best_wheel():
    assert pinned("uv.lock", UV, without={"dev"}) == PLAIN
    assert pinned("uv.lock", UV) == [*PLAIN, "zeta-1.0-py3-none-any.whl"], "the group dev is uv's default"
    extra = pinned("uv.lock", UV, extra={"web"}, group={"docs"}, without={"dev"})
    assert extra == [*PLAIN, "epsilon-1.0-py3-none-any.whl", "eta-1.0-py3-none-any.whl"]
    none = pinned("uv.lock", UV, "[tool.uv]\ndefault-groups = []\n")
    assert none == PLAIN, "as the project sets it"


def test_uv_builds_what_has_no_wheel_for_this_python():
    text = UV.replace("beta-2.0-py3-none-any.whl", "beta-2.0-cp39-cp39-win32.whl").replace(
        "manylinux2014_x86_64.manylinux_2_17_x86_64", "win32"
    )
    with pytest.raises(
        UnusableLockFile, match=r"no file of beta 2.0 that Python 3.11.2 on x86_64 can use: beta-2.0-cp39"
    ):
        pinned("uv.lock", text)
    sdist = f'sdist = {{ url = "https://f.invalid/beta-2.0.tar.gz", hash = "sha256:{digits("s")}" }}\nwheels = '
    built = pinned(
        "uv.lock", text.replace('wheels = [{ url = "https://f.invalid/beta', sdist + '[{ url = "https://f.invalid/beta')
    )
    assert built[-1] == f"beta==2.0 --hash=sha256:{digits('s')}"


def test_a_package_at_an_address_keeps_it_and_is_the_only_address_that_is_named():
    at = "https://elsewhere.invalid/theta-3.0-py3-none-any.whl"
    text = UV.replace('name = "alpha" }]', 'name = "theta" }]') + uv_package(
        "theta",
        f'wheels = [{{ url = "{at}", hash = "sha256:{digits("t")}" }}]',
        version="3.0",
        source=f'{{ url = "{at}" }}',
    )
    assert pinned("uv.lock", text, without={"dev"}) == [at]
    assert addresses_in_lock_files((("uv.lock", text.encode()),)) == [at]
    assert addresses_in_lock_files((("uv.lock", UV.encode()),)) == []


PYLOCK = f"""lock-version = "1.0"
requires-python = ">=3.9"
environments = ["sys_platform == 'linux'"]
extras = ["web"]
dependency-groups = ["dev"]
created-by = "test"
[[packages]]
name = "shop"
directory = {{ path = ".", editable = true }}
[[packages]]
name = "alpha"
version = "1.0"
wheels = [{{ url = "https://f.invalid/alpha-1.0-py3-none-any.whl", hashes = {{ sha256 = "{digits("a")}" }} }}]
[[packages]]
name = "beta"
version = "1.0"
marker = "'web' in extras"
sdist = {{ name = "beta-1.0.tar.gz", hashes = {{ sha256 = "{digits("b")}" }} }}
[[packages]]
name = "gamma"
version = "1.0"
marker = "'dev' in dependency_groups and sys_platform == 'linux'"
wheels = [{{ name = "gamma-1.0-py3-none-any.whl", hashes = {{ sha256 = "{digits("c")}" }} }}]
[[packages]]
name = "delta"
version = "1.0"
marker = "sys_platform == 'win32'"
wheels = [{{ name = "delta-1.0-py3-none-any.whl", hashes = {{ sha256 = "{digits("d")}" }} }}]
"""

TWICE = PYLOCK.replace('name = "beta"', 'name = "alpha"').replace("web' in extras", "web' not in extras")


def test_pylock_takes_what_its_markers_say():
    alpha = "alpha-1.0-py3-none-any.whl"
    assert pinned("pylock.toml", PYLOCK) == [alpha]
    assert pinned("pylock.web.toml", PYLOCK, extra={"web"}) == [alpha, f"beta==1.0 --hash=sha256:{digits('b')}"]
    assert pinned("pylock.toml", PYLOCK, group={"dev"}) == [alpha, "gamma-1.0-py3-none-any.whl"]


def poetry_package(name: str, *lines: str) -> str:
    wheel = f'files = [{{ file = "{name}-1.0-py3-none-any.whl", hash = "sha256:{digits(name)}" }}]'
    return "\n".join(["[[package]]", f'name = "{name}"', 'version = "1.0"', *lines, wheel, ""])


POETRY = "\n".join(
    [
        poetry_package("alpha", 'groups = ["main"]'),
        poetry_package("beta", 'groups = ["main"]', "optional = true", "markers = 'extra == \"web\"'"),
        poetry_package("gamma", 'groups = ["main", "dev"]', "markers = { main = 'os_name == \"nt\"' }"),
        poetry_package("delta", 'groups = ["docs"]'),
        '[extras]\nweb = ["beta"]\n[metadata]\nlock-version = "2.1"\npython-versions = "^3.9"\n',
    ]
)
GIT = 'source = { type = "git", url = "https://g.invalid/x" }'
OPTIONAL = "[tool.poetry.group.docs]\noptional = true\n"


def test_poetry_takes_groups_that_are_not_optional():
    alpha, beta, gamma, delta = (f"{name}-1.0-py3-none-any.whl" for name in ("alpha", "beta", "gamma", "delta"))
    assert pinned("poetry.lock", POETRY, OPTIONAL) == [alpha, gamma]
    assert pinned("poetry.lock", POETRY) == [alpha, delta, gamma], "nobody says that a group is optional"
    assert pinned("poetry.lock", POETRY, OPTIONAL, without={"dev"}, extra={"web"}) == [alpha, beta]
    assert pinned("poetry.lock", POETRY, OPTIONAL, without={"dev", "main"}, group={"docs"}) == [delta]


OF_ALPHA = """[package.dependencies]
beta = {version = ">=1.0,<2.0 || >=3.0", extras = ["fast"]}
delta = {version = "*", markers = "os_name == 'nt'"}
"""
OF_BETA = """[package.dependencies]
gamma = {version = "*", optional = true, markers = "extra == 'fast'"}
epsilon = {version = "*", optional = true}
[package.extras]
fast = ["gamma (>=1.0)"]
slow = ["epsilon"]
"""
OF_POETRY_1 = """[tool.poetry.dependencies]
python = "^3.9"
Alpha = "^1.0"
zeta = {version = "*", optional = true}
theta = [{version = "~1.0", python = "<3.11"}, {version = "^2", python = "~3.11"}]
delta = {version = "1", python = "^2.7 || <3.9"}
[tool.poetry.dev-dependencies]
eta = "*"
[tool.poetry.group.docs]
optional = true
dependencies = {epsilon = "1.*"}
"""


def lock_of_poetry_1(version: str, python: str = ">=3.11", **bodies: str) -> str:
    """A lock whose packages depend on each other as these bodies say; in version 1.1 the files stand apart."""
    bodies = {"alpha": OF_ALPHA, "beta": OF_BETA, **bodies}
    packages = [(name, "1.0", "*") for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")]
    packages += [("theta", "1.0", "<3.11"), ("theta", "2.0", python)]
    text, apart = "", {}
    for name, of, pythons in packages:
        files = f'{{ file = "{name}-{of}-py3-none-any.whl", hash = "sha256:{digits(name)}" }}'
        apart[name] = [*apart.get(name, []), files]
        text += f'[[package]]\nname = "{name}"\nversion = "{of}"\npython-versions = "{pythons}"\n'
        text += "" if version == "1.1" else f"files = [{files}]\n"
        text += bodies.get(name, "")
    text += f'[extras]\nweb = ["zeta"]\n[metadata]\nlock-version = "{version}"\npython-versions = "^3.9"\n'
    listed = "".join(f"{name} = [{', '.join(files)}]\n" for name, files in apart.items())
    return text + (f"[metadata.files]\n{listed}" if version == "1.1" else "")


@pytest.mark.parametrize("version", ["2.0", "1.1"])
def test_the_graph_of_poetry_1_is_followed_from_the_project(version):
    names = ("alpha", "beta", "gamma", "epsilon", "zeta", "eta")
    alpha, beta, gamma, epsilon, zeta, eta = (f"{name}-1.0-py3-none-any.whl" for name in names)
    text, theta = lock_of_poetry_1(version), "theta-2.0-py3-none-any.whl"
    main = [alpha, beta, gamma, theta]
    assert pinned("poetry.lock", text, OF_POETRY_1) == [alpha, beta, eta, gamma, theta]
    assert pinned("poetry.lock", text, OF_POETRY_1, without={"dev"}) == main
    assert pinned("poetry.lock", text, OF_POETRY_1, without={"dev"}, extra={"web"}) == [*main, zeta]
    docs = pinned("poetry.lock", text, OF_POETRY_1, without={"dev"}, group={"docs"})
    assert docs == [alpha, beta, epsilon, gamma, theta]
    # Of two that the Python may have, the one is taken that the project asks for.
    assert pinned("poetry.lock", lock_of_poetry_1(version, "*"), OF_POETRY_1, without={"dev"}) == main


@pytest.mark.parametrize(
    ("text", "project", "said"),
    [
        (lock_of_poetry_1("2.0").replace('"alpha"', '"alpha2"', 1), OF_POETRY_1, "it has 0 packages that are alpha"),
        (lock_of_poetry_1("1.1").replace("[metadata.files]", "[x]"), OF_POETRY_1, "has no files with hashes"),
        (lock_of_poetry_1("2.0", "!"), OF_POETRY_1, "a constraint that can't be read"),
        (lock_of_poetry_1("2.0"), "[project]\nname = 'x'\n", "does not say which package is in which group"),
        (lock_of_poetry_1("2.0", alpha="[package.dependencies]\n'../x' = '*'\n"), OF_POETRY_1, "not the name"),
        (lock_of_poetry_1("2.0").replace("sha256:", "md5:"), OF_POETRY_1, "without a sha256"),
        (lock_of_poetry_1("2.0").replace('"2.0"\npython', '"3.0"\npython'), OF_POETRY_1, "which is not known"),
    ],
)
def test_a_lock_of_poetry_1_that_does_not_say_what_is_meant_is_refused(text, project, said):
    with pytest.raises(UnusableLockFile, match=said):
        pinned("poetry.lock", text, project)


PIPFILE = json.dumps(
    {
        "_meta": {"pipfile-spec": 6, "requires": {"python_version": "3.11"}},
        "default": {
            "alpha": {"version": "==1.0", "hashes": [f"sha256:{digits('a2')}", f"sha256:{digits('a1')}"]},
            "beta": {"version": "*", "markers": "sys_platform == 'win32'"},
        },
        "develop": {"gamma": {"version": "==2.0", "hashes": [f"sha256:{digits('g')}"]}},
    }
)


def test_pipfile_leaves_the_choice_of_the_file_to_pip():
    alpha = f"alpha==1.0 --hash=sha256:{digits('a1')} --hash=sha256:{digits('a2')}"
    assert pinned("Pipfile.lock", PIPFILE) == [alpha]
    assert pinned("Pipfile.lock", PIPFILE, group={"dev"}) == [alpha, f"gamma==2.0 --hash=sha256:{digits('g')}"]
    assert pinned("Pipfile.lock", PIPFILE, group={"develop"}, without={"default"})[0].startswith("gamma==2.0")


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("uv.lock", UV.replace("version = 1\n", "version = 2\n", 1), "version 2"),
        ("uv.lock", UV.replace(">=3.9", ">=3.12"), "is for Python >=3.12, and this is Python 3.11.2"),
        ("uv.lock", UV.replace('"beta", extra', '"nowhere", extra'), "0 packages that are nowhere"),
        ("uv.lock", UV.replace('name = "delta"', 'name = "../../delta"'), "is not the name of a Python distribution"),
        ("uv.lock", UV.replace('"1.0"', '"--index-url"'), "is not the version"),
        ("uv.lock", UV.replace("sha256:", "md5:"), "without a sha256"),
        ("uv.lock", UV.replace("os_name == 'nt'", "os_name == system('ls')"), "a marker that can't be read"),
        ("uv.lock", UV.replace("alpha-1.0-py3-none-any.whl", "..%2f..%2fetc%2fpasswd"), "is not the file name"),
        (
            "uv.lock",
            UV.replace(REGISTRY, 'source = { git = "https://g.invalid/x" }', 1),
            "package 'alpha' comes from git (https://g.invalid/x)",
        ),
        ("uv.lock", UV + "[x" + ".a" * 2000 + "]\n", "longer than any tool"),
        ("uv.lock", UV + f'x = "{"a" * MAX_LINE}"\n', "longer than any tool"),
        ("uv.lock", UV + "x" + ".a" * 2000 + " = 1\n", "longer than any tool"),
        ("uv.lock", UV + "x = " + "[" * 5000 + "]" * 5000 + "\n", "nested too deep"),
        ("uv.lock", "version = ", "it is not TOML"),
        ("uv.lock", 'version = 1\npackage = "all"\n', "'package' that is not a list"),
        ("pylock.toml", PYLOCK.replace('"1.0"', '"2.0"', 1), "lock-version '2.0'"),
        ("pylock.toml", PYLOCK.replace("== 'linux'\"]", "== 'darwin'\"]"), "for other environments"),
        ("pylock.toml", PYLOCK.replace("sha256 =", "sha1 ="), "without a sha256"),
        ("pylock.toml", PYLOCK.replace('path = "."', 'path = "../other"'), "is a folder (../other)"),
        ("pylock.toml", TWICE, "more than once"),
        ("poetry.lock", POETRY.replace('"2.1"', '"2.0"'), "which does not say which package is in which group"),
        ("poetry.lock", poetry_package("x", GIT, 'groups = ["main"]') + POETRY, "package 'x' comes from git"),
        ("Pipfile.lock", PIPFILE.replace('"3.11"', '"3.1"'), "is for Python 3.1, and this is Python 3.11.2"),
        ("Pipfile.lock", PIPFILE.replace("win32", "linux"), "package 'beta' has no hashes"),
        ("Pipfile.lock", PIPFILE.replace('"==1.0"', '"==1.0 --pre"'), "is not the version"),
        ("Pipfile.lock", PIPFILE.replace('"alpha"', '"-r x"'), "is not the name of a Python distribution"),
        ("Pipfile.lock", PIPFILE.replace('"==1.0"', '"==1.0", "path": "/etc"'), "of the project's folder (/etc)"),
        ("Pipfile.lock", "[" * 100_000, "nested too deep"),
    ],
)  # fmt: skip
def test_what_can_not_be_taken_as_it_is_is_refused(path, text, said):
    with pytest.raises(UnusableLockFile) as refused:
        pinned(path, text)
    assert said in refused.value.message
    assert refused.value.message.startswith(path)


def test_extras_and_groups_that_nobody_has_are_refused_with_those_there_are():
    with pytest.raises(UnusableLockFile) as refused:
        pinned("uv.lock", UV, extra={"wbe"})
    assert refused.value.message == "uv.lock: the project has no extra 'wbe'"
    assert refused.value.hint == "it has: web"
    with pytest.raises(UnusableLockFile, match="no group 'test'"):
        pinned("pylock.toml", PYLOCK, group={"test"})

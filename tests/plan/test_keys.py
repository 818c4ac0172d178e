"""Keys are pinned: a change of one by accident throws away everybody's cache. Change them only on purpose, with the
number in plan/key.py's FORMAT."""

import pytest

from envbuild.language.statement_parts import CacheMount, Place, TmpfsMount
from envbuild.plan import step as actions
from envbuild.plan.key import key_of
from envbuild.plan.step import Step

PARENT = "a" * 64
INPUT = "b" * 64
EPOCH = 1_700_000_000

ACTIONS = {
    "run": actions.Execute(
        ("/bin/sh", "-eu", "-c", "echo hi"), (("PATH", "/bin"),), (("x", "1"),), "app", "/srv", True,
        (CacheMount("/c"),), ("s",), (("src", "/src"),), ".",
    ),
    "run-shown": actions.Execute(
        ("/bin/sh", "-eu", "-c", "echo hi"), (), (), "", "/", False, (), (), (), ".",
        (actions.TreeMount(actions.Origin("stage", "build", "."), "/out", "/mnt"),), (TmpfsMount("/t", 1024),),
    ),
    "run-granted": actions.Execute(
        ("/bin/sh", "-eu", "-c", "echo hi"), (), (), "", "/", False, (), (), (), ".",
        (), (), "default", ("/dev/fuse", "/dev/net/tun"),
    ),
    "copy": actions.CopyIn(("a", "b/"), "/dst/", None, "app", 0o644, ("*.tmp",), "."),
    "copy-from": actions.CopyIn(("/a",), "/b", actions.Origin("stage", "build", "."), None, None, (), "."),
    "copy-chosen": actions.CopyIn(
        ("a",), "/dst", None, None, "u+x,go-w", (), ".", ("*.py",), True, True, True,
    ),
    "copy-unpack": actions.CopyIn(("a.tar",), "/dst", None, None, None, (), ".", unpack=True),
    "render": actions.Render("t.j2", "/t", (("x", "1"),), (("PATH", "/bin"),), None, None, "."),
    "file": actions.WriteFile("/f", "text\n", None, 0o600),
    "fetch": actions.FetchFile("https://example.org/x", "/x", "c" * 64, None, None, True),
    "fetch-git": actions.FetchFile("git+https://example.org/x@v1#submodules", "/x", None, None, None, True),
    "adduser": actions.AddUser("app", 1000, None, "/srv", None, ("staff",)),
    "workdir": actions.MakeDirectory("/srv"),
    "npm": actions.InstallPackages("npm", ("express@4",), (), (("into", "/srv"),), (("PATH", "/bin"),), "."),
    "npm-locked": actions.InstallPackages(
        "npm", (), (("-r", "app"),), (("into", "/srv"), ("scripts", ""), ("manager", "pnpm")), (), ".",
    ),
    "cargo": actions.InstallPackages("cargo", (), (("-r", "app"),), (("into", "/src"),), (), "."),
    "go": actions.InstallPackages("go", (), (("-r", "app"),), (("into", "/go"),), (), "."),
    "maven": actions.InstallPackages("maven", (), (("-r", "app"),), (("into", "/m2"),), (), "."),
    "apt-source": actions.InstallPackages("aptsource", ("hello",), (), (("into", "/src"),), (), "."),
    "pip-locked": actions.InstallPackages(
        "pip", (), (("-r", "uv.lock"),), (("into", "/v"), ("extra", "web"), ("without", "dev")), (), ".",
    ),
    "pip-project": actions.InstallPackages(
        "pip", (), (("project", ".[web]"),), (("into", "/v"), ("build-project", "")), (("PATH", "/bin"),), ".",
    ),
    "discard": actions.DiscardPaths(("/log/*",)),
}  # fmt: skip
PINNED = {
    "run": "870a8a5e045d06cf50e7993640afe095cedccacb2de42dcf6931d4c078b35e2d",
    "run-granted": "2bcbb19958ea4f3b267b32921dbab90f679b748f9cea44a1cac3980003e88119",
    "run-shown": "fdaffa4040f248d9ec41b692fb6405b9cf15fcd3aac3693dd05ab18316e2575a",
    "copy": "50c8b903c1e464c2c2b53ef0bda9effa2ae954ae015b1d48665090eaa749a749",
    "copy-from": "cddf5a421128c0f72e640e477e52869a3be1b5c6b75a21f8795472fa842f0dcc",
    "copy-chosen": "01999aa0be2abc30d756be24ad36157220013e3db5a2a0f2b4294a803dc8a98e",
    "copy-unpack": "267f3c5eec5ebecb270e774670b9ed78be33b62fa35cbbf73b2219858f28702a",
    "render": "183a1760d1707ba5796d13d348cf5b48cafa58b302155cf74d4f69e34e9a91a2",
    "file": "1251b109f2bb44ff0eaf4acb383d936c73e7bcd6a3bec9c4c20900759c74ef86",
    "fetch": "c2d08afe020da9674cbcbab55e338e2235655fc21783152b7d662c0cd6b22cf1",
    "fetch-git": "548c310a9e7e478cd01e3c89499565fbc075182288c74c9d77186f78e7dc8def",
    "adduser": "2ee56cb747fbf876027009568a2c9f370b640fc967858200c9c3dc05dd9a69e2",
    "workdir": "d65845c39ea916d17304a99f4d5579c998a1e5364ab8f7bb9a4ee8c445821423",
    "npm": "4b07d79e4b89f3dff1d81c4330216efd1fabf69288640d5ad125c5804e479384",
    "npm-locked": "ee203dc8a0294bf3a18073cc829894fe3bece92a62ac2fa9eef599ce2e33f38f",
    "cargo": "e74ffafeb36d86d8617c5d86a3a8fa226209b0e51ec775ba5844ab1dbfd9f265",
    "go": "93ba1d3c9e16bcaab745575ea6f7c212e5281923d050535c2ec229a08cb6f810",
    "maven": "0d51756f80f9681d431cd8fe2bfd09093f31e01c232742c8ddec9840cb668c25",
    "apt-source": "1adee61b741032788e6983f95134eb04c4da5e17b795eef4a8a6f8f1bf2d2a39",
    "pip-locked": "712a4421a469fab12cb8688cea3997e44c8a3c85726e66bd1828a97a47d673b2",
    "pip-project": "adb28729a2b62b3985081391136d28dbb87bca93ba22b9afa9dd14b1d3ed9024",
    "discard": "bb44881a11ef74fcf39158b53a8152f13abd8b76bfd3fbb3e29655c0c8e6fd4b",
}


def key(action: actions.Action, **options: object) -> str:
    step = Step(action, Place("web.env", 1), "text", **options)
    return key_of(step, PARENT, (INPUT,), EPOCH)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_keys_are_as_they_were(name):
    assert key(ACTIONS[name]) == PINNED[name]


def test_a_command_that_can_not_keep_owners_is_another_step_and_nothing_else_is():
    for name, action in ACTIONS.items():
        step = Step(action, Place("web.env", 1), "text")
        single = key_of(step, PARENT, (INPUT,), EPOCH, owners_kept=False)
        assert (single != PINNED[name]) == (
            name in ("run", "run-shown", "run-granted") or isinstance(action, actions.InstallPackages)
        )


def test_each_part_of_an_action_counts():
    run = ACTIONS["run"]
    changed = {
        "argv": ("/bin/sh", "-c", "echo hi"),
        "environment": (),
        "parameters": (("x", "2"),),
        "user": "",
        "workdir": "/",
        "network": False,
        "caches": (),
        "secrets": (),
        "mounts": (),
        "shown": ACTIONS["run-shown"].shown,
        "tmpfs": ACTIONS["run-shown"].tmpfs,
        "ssh": "default",
        "devices": ("/dev/fuse",),
    }
    keys = {key(run)} | {key(run.replace(**{name: value})) for name, value in changed.items()}
    assert len(keys) == 1 + len(changed)


def test_each_field_that_came_later_counts_where_it_says_something():
    copy = ACTIONS["copy"]
    later = {"include": ("*.py",), "contents": True, "parents": True, "optional": True, "unpack": True}
    assert set(copy.__field_defaults__) == set(later)
    keys = {key(copy)} | {key(copy.replace(**{name: value})) for name, value in later.items()}
    assert len(keys) == 1 + len(later)


def test_where_a_step_stands_and_how_long_it_may_take_do_not_count():
    run = ACTIONS["run"]
    elsewhere = Step(run, Place("other.env", 99), "other text", timeout=5.0)
    assert key_of(elsewhere, PARENT, (INPUT,), EPOCH) == key(run)
    assert key(run.replace(folder="elsewhere")) == key(run)


def test_parent_inputs_epoch_discards_and_being_a_test_count():
    run = ACTIONS["run"]
    step = Step(run, Place("web.env", 1), "text")
    keys = {
        key(run),
        key_of(step, INPUT, (INPUT,), EPOCH),
        key_of(step, PARENT, (), EPOCH),
        key_of(step, PARENT, (INPUT,), EPOCH + 1),
        key(run, discard=("/x",)),
        key(run, test=True),
    }
    assert len(keys) == 6

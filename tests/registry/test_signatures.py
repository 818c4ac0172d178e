"""Images that are signed where they are built, and used elsewhere only so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.registry.hostile import CONFIG, INDEX, LAYER, MANIFEST
from tests.registry.test_push_and_pull import done_well
from tests.sharing.images import descriptor, digest, layer

pytestmark = pytest.mark.namespaces
NOBODY_SIGNED = "none of the keys that it needs has signed it"


def keys(project: Project, *names: str) -> None:
    for name in names:
        assert project.command("key", "generate", name).code == 0


def policy(project: Project, *lines: str) -> None:
    """The user's policy: rules as lines, each NAME ... KEY."""
    rules = []
    for line in lines:
        *patterns, key = line.split()
        rules.append(f'[[rule]]\nnames = {json.dumps(patterns)}\nkeys = ["keys/{key}.pub"]\n')
    project.write(".config/envbuild/policy.toml", *rules).chmod(0o644)


def no_policy(project: Project) -> None:
    (project.folder / ".config/envbuild/policy.toml").unlink(missing_ok=True)


def refused(project: Project, *words: str) -> str:
    done = project.command(*words)
    assert (done.code, done.out) == (1, ""), done.out + done.err
    assert " may not be " in done.err
    return done.err


def statements(project: Project, *words: str) -> dict[str, dict[str, Any]]:
    """What is signed, by its kind."""
    plain = json.loads(project.command("verify", *words, "--format", "json").out)
    return {item["kind"]: item for item in plain["statements"]}


def test_a_build_is_signed_with_all_that_it_was_made_of(built: Project):
    keys(built, "release")
    done = built.build(options=("--sign",))
    assert done.code == 0, done.out
    plain = json.loads(built.command("verify", "web", "--key", "release", "--format", "json").out)
    assert plain["digest"] == built.show()["digest"]
    by_kind = {item["kind"]: item for item in plain["statements"]}
    assert sorted(by_kind) == [
        "https://cyclonedx.org/bom",
        "https://sigstore.dev/cosign/sign/v1",
        "https://slsa.dev/provenance/v1",
    ]
    assert all(item["names"] == ["web"] for item in plain["statements"])
    predicate = by_kind["https://slsa.dev/provenance/v1"]["predicate"]
    definition = predicate["buildDefinition"]
    assert definition["externalParameters"]["recipe"] == "web"
    assert [step["text"] for step in definition["internalParameters"]["steps"]] == [
        step["text"] for step in built.show()["steps"]
    ]
    names = [entry["name"].partition(":")[0] for entry in definition["resolvedDependencies"]]
    assert names == ["recipe", "sources", "lock", "base"]
    lock = definition["resolvedDependencies"][2]["digest"]["sha256"]
    sums = subprocess.run(["sha256sum", "web.env.lock"], cwd=built.folder, capture_output=True, text=True, check=True)
    assert sums.stdout.startswith(lock)
    assert "network" not in definition["internalParameters"]["steps"][0]
    assert predicate["runDetails"]["builder"]["version"]["envbuild"]
    bill = by_kind["https://cyclonedx.org/bom"]["predicate"]
    assert bill["metadata"]["component"]["version"] == plain["digest"]


def test_provenance_says_the_commit_and_whether_the_files_are_its(user: Project):
    keys(user, "release")
    user.write("web.env", "recipe web", "from scratch", "copy app/ -> /app")
    user.write("app/main", "one")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "web.env", "app"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=user.folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=user.folder, capture_output=True, text=True, check=True)
    for content, clean in (("one", True), ("two", False)):
        user.write("app/main", content)
        assert user.build(options=("--sign",)).code == 0
        predicate = statements(user, "web", "--key", "release")["https://slsa.dev/provenance/v1"]["predicate"]
        dependencies = predicate["buildDefinition"]["resolvedDependencies"]
        (item,) = [entry for entry in dependencies if entry["name"] == "commit"]
        assert (item["digest"]["gitCommit"], item["annotations"]["clean"]) == (head.stdout.strip(), clean)


def test_what_a_policy_asks_for_is_pulled_and_run_and_nothing_else(built: Project, elsewhere: Project, registry):
    server = registry()
    keys(built, "release", "other")
    web, bad = f"{server.host}/shop/web", f"{server.host}/shop/bad"
    pushed = done_well(built, "push", "web", f"{web}:1", "--sign", "--key", "release")
    assert pushed["signatures"] == 3
    puts = [path.rpartition("/")[2] for path in server.requests("PUT") if "/manifests/" in path]
    assert puts[-2:] == [pushed["manifest"].replace(":", "-"), "1"]  # the tag is the last thing that comes
    done_well(built, "push", "web", f"{bad}:1")
    policy(elsewhere, f"{server.host}/shop/* web bad release")
    pulled = done_well(elsewhere, "pull", f"{web}:1")
    assert pulled["image"] == pushed["image"]
    assert elsewhere.command("run", "web:1").out == "one\n"
    # The same image under another name: what was signed says which image it is.
    blobs = [path for path in server.requests("GET") if "/blobs/" in path]
    assert f"its signature is for {web}" in refused(elsewhere, "pull", f"{bad}:1")
    assert "its signature is for" in refused(elsewhere, "pull", f"{bad}:1", "web")
    later = [path for path in server.requests("GET") if "/blobs/" in path][len(blobs) :]
    assert not any(layer in path for path in later for layer in layers_of(server, "shop/bad"))
    # The names that an image has here count, and those under which it came.
    assert elsewhere.command("tag", "web:1", "bad:1").code == 0
    assert "bad:1 may not be run" in refused(elsewhere, "run", "bad:1")
    assert elsewhere.command("tag", "web:1", "mine").code == 0
    assert elsewhere.command("run", "mine").out == "one\n"
    policy(elsewhere, f"{web} other")
    for reference in ("mine", "web:1", pulled["image"], pulled["image"][7:15], f"mine@{pulled['image']}"):
        assert f"{web}:1 may not be run: {NOBODY_SIGNED}" in refused(elsewhere, "run", reference)
    assert "may not be run" in refused(elsewhere, "run", "-d", "web:1")
    assert "may not be run" in refused(elsewhere, "shell", "web:1")
    # Signed once more, by the other key.
    done_well(built, "push", "web", f"{web}:1", "--sign", "--key", "other")
    done_well(elsewhere, "pull", f"{web}:1")
    assert elsewhere.command("run", "mine").out == "one\n"


def layers_of(server, path: str) -> list[str]:
    """The digests of the layers that a tag 1 has in a registry."""
    root = server.data / "docker/registry/v2"
    link = (root / "repositories" / path / "_manifests/tags/1/current/link").read_text().removeprefix("sha256:")
    manifest = json.loads((root / "blobs/sha256" / link[:2] / link / "data").read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def test_signatures_travel_with_an_image(built: Project, elsewhere: Project, registry):
    host = registry().host
    keys(built, "release")
    assert built.build(options=("--sign",)).code == 0
    assert done_well(built, "push", "web", f"{host}/web:1")["signatures"] == 3
    done_well(elsewhere, "pull", f"{host}/web:1", "copy")
    assert "signed as web" in elsewhere.command("verify", "copy", "--key", "release").out
    policy(elsewhere, "web release", "copy release")
    assert "its signature is for web" in refused(elsewhere, "run", "copy")
    assert elsewhere.command("tag", "copy", "web").code == 0
    assert elsewhere.command("run", "web").out == "one\n"
    done_well(elsewhere, "push", "web", f"{host}/again:1")
    # Which image a manifest holds is known when its files are there.
    done = elsewhere.command("verify", f"{host}/again:1", "--key", "release")
    assert (done.code, "pull it" in done.err) == (1, True), done.err


def test_verify_says_whose_signature_it_is(built: Project, registry):
    host = registry().host
    keys(built, "release", "other")
    done_well(built, "push", "web", f"{host}/web:1")
    for reference in ("web", f"{host}/web:1"):
        done = built.command("verify", reference, "--key", "release")
        assert (done.code, "it has none" in done.err) == (1, True), done.err
    done_well(built, "push", "web", f"{host}/web:1", "--key", "release")
    for reference in ("web", f"{host}/web:1"):
        done = built.command("verify", reference, "--key", ".config/envbuild/keys/release.pub")
        assert f"signed as {host}/web by .config/envbuild/keys/release.pub\n" in done.out, done.err
        done = built.command("verify", reference, "--key", "other")
        assert (done.code, "it has 3 by other keys, or of other images" in done.err) == (1, True), done.err
    assert built.command("verify", "web", "--key", "nobody").code == 2


def test_bases_and_groups_need_it_too(built: Project):
    keys(built, "release")
    built.write("top.env", "recipe top", "from image:web", "run echo 2 > /y")
    built.write("stage.env", "recipe stage", "from scratch", "copy(from=image:web) /opt/x -> /x")
    built.write("services.yaml", "services:", "  app:", "    image: web")
    policy(built, "web release")
    for recipe in ("top", "stage"):
        done = built.command("build", recipe)
        assert (done.code, f"web:latest may not be used as a base: {NOBODY_SIGNED}" in done.err) == (1, True), done.err
    assert "web:latest may not be run" in refused(built, "up")
    assert built.build(options=("--sign",)).code == 0
    for recipe in ("top", "stage"):
        assert built.command("build", recipe).code == 0
        assert built.command("build", recipe).code == 0
    no_policy(built)
    assert built.build("run echo 3 > /x").code == 0
    assert built.command("build", "top").code == 0
    policy(built, "web release")
    assert built.command("build", "top").code == 0  # the lock pins what was signed
    assert "may not be used as a base" in refused(built, "update", "top")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_text("[[rule]\n"), "it is no TOML"),
        (lambda path: path.write_text('[[rule]]\nnames = ["web"]\nkeys = ["gone.pub"]\n'), "rule 1: the key"),
        (lambda path: path.chmod(0o646), "everybody can change it"),
        (lambda path: (path.unlink(), path.mkdir()), "it is not a file with a policy"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "No such file"),
    ],
    ids=["toml", "key", "mode", "folder", "link"],
)
def test_a_damaged_policy_lets_nothing_through(built: Project, damage, reason):
    policy(built)
    damage(built.folder / ".config/envbuild/policy.toml")
    built.write("services.yaml", "services:", "  app:", "    image: web")
    for words in (("run", "web"), ("shell", "web"), ("build", "web"), ("up",), ("pull", "localhost:1/web")):
        done = built.command(*words)
        assert (done.code, done.out) == (2, ""), done.err
        assert reason in done.err


@pytest.mark.user
def test_a_user_can_not_weaken_the_policy_of_the_machine(built: Project, tmp_path: Path):
    """In a mount namespace where /etc/envbuild is one of the test's."""
    keys(built, "release")
    machine = tmp_path / "machine"
    (machine / "envbuild").mkdir(parents=True)
    (machine / "envbuild/release.pub").write_bytes((built.folder / ".config/envbuild/keys/release.pub").read_bytes())
    (machine / "envbuild/policy.toml").write_text('[[rule]]\nnames = ["web"]\nkeys = ["release.pub"]\n')
    built.write(".config/envbuild/policy.toml", '[[rule]]\nnames = ["*"]\nallow = true')
    (tmp_path / "work").mkdir()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = (
        f"mount -t overlay overlay -o lowerdir=/etc,upperdir={machine},workdir={tmp_path}/work /etc || exit 77\n"
        f'exec {sys.executable} -c "import sys; sys.path.insert(0, sys.argv.pop(1))\n'
        "from envbuild.cli.environment import Environment\n"
        "import os\n"
        "trust = Environment(os.environ, sys.stdin, sys.stdout, sys.stderr).trust()\n"
        "from envbuild.store.store import Store\n"
        "from envbuild.build.named_image import find_image\n"
        "with Store.open(os.environ['ENVBUILD_STORE'], create=False) as store:\n"
        "    trust.check_image(store, find_image(store, 'web'), 'web', 'run')\" "
        f"{Path(__file__).parents[2]}"
    )
    words = ["unshare", *user, "--mount", "sh", "-c", script]

    def use() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=built.folder, env=built.environment, capture_output=True, text=True, check=False
        )

    done = use()
    if done.returncode == 77:
        pytest.skip(f"no overlay of /etc here: {done.stderr}")
    assert f"web:latest may not be run: {NOBODY_SIGNED}" in done.stderr, done.stderr
    assert "/etc/envbuild/policy.toml" not in built.command("run", "web").err
    assert built.build(options=("--sign",)).code == 0
    done = use()
    assert done.returncode == 0, done.stderr


def test_keys_have_a_password_if_one_likes(built: Project):
    done = built.command("key", "generate", "./ci", "--password-stdin", stdin=b"secret\n")
    assert done.code == 0, done.err
    done = built.command("build", "web", "--key", "./ci.key")
    assert (done.code, "ENVBUILD_KEY_PASSWORD" in done.err) == (2, True), done.err
    assert built.command("build", "web", "--key", "./ci.key", ENVBUILD_KEY_PASSWORD="wrong").code == 2
    assert built.command("build", "web", "--key", "./ci.key", ENVBUILD_KEY_PASSWORD="secret").code == 0
    (built.folder / "ci.key").chmod(0o644)
    done = built.command("build", "web", "--key", "./ci.key", ENVBUILD_KEY_PASSWORD="secret")
    assert (done.code, "others than its owner can read" in done.err) == (0, True), done.err
    assert "signed as web by ./ci.pub" in built.command("verify", "web", "--key", "./ci.pub").out


def test_which_key_signs(built: Project):
    done = built.command("build", "web", "--sign")
    assert (done.code, "envbuild key generate" in done.err) == (2, True), done.err
    keys(built, "first", "second")
    done = built.command("build", "web", "--sign")
    assert (done.code, "you have several keys: first, second" in done.err) == (2, True), done.err
    assert built.command("key", "generate").code == 0
    assert built.command("build", "web", "--sign").code == 0
    assert built.command("verify", "web", "--key", "default").code == 0
    listed = json.loads(built.command("key", "ls", "--format", "json").out)
    assert [(key["name"], key["signs"]) for key in listed] == [("default", True), ("first", True), ("second", True)]
    public = built.folder / ".config/envbuild/keys/first.pub"
    assert built.command("key", "show", "first").out == public.read_text()
    assert built.command("key", "generate", "first").code == 2


def test_an_image_is_what_its_files_say_and_not_its_configuration(built: Project, elsewhere: Project, server):
    """Layers of somebody else under a configuration that claims to be the signed image, with its signatures."""
    registry = server()
    keys(built, "release")
    assert built.build(options=("--sign",)).code == 0
    done_well(built, "push", "web", f"{registry.host}/web:1")
    signed = json.loads(registry.manifests["1"][1])
    index = next(content for name, (_, content) in registry.manifests.items() if name.startswith("sha256-"))
    content = layer(("evil", b"1"))
    claims = json.loads(registry.blobs[signed["config"]["digest"]])
    claims["rootfs"]["diff_ids"] = [digest(content)]
    settings = json.dumps(claims).encode()
    registry.blobs |= {digest(content): content, digest(settings): settings}
    evil = {**signed, "config": descriptor(settings, CONFIG), "layers": [descriptor(content, LAYER)]}
    name = registry.put("evil", MANIFEST, json.dumps(evil).encode())
    entries = []
    for entry in json.loads(index)["manifests"]:
        manifest = json.loads(registry.manifests[entry["digest"]][1])
        manifest["subject"]["digest"] = name
        about_evil = json.dumps(manifest).encode()
        entries.append({**entry, "digest": registry.put("x", MANIFEST, about_evil), "size": len(about_evil)})
    registry.put(name.replace(":", "-"), INDEX, json.dumps({**json.loads(index), "manifests": entries}).encode())
    policy(elsewhere, "web release")
    assert "web may not be pulled" in refused(elsewhere, "pull", f"{registry.host}/web:evil")
    assert elsewhere.command("images").out.count("\n") <= 1
    done_well(elsewhere, "pull", f"{registry.host}/web:1")
    assert elsewhere.command("run", "web:1").out == "one\n"


def test_a_base_of_a_registry_needs_it_too(built: Project, elsewhere: Project, registry):
    base = f"{registry().host}/shop/base"
    keys(built, "release", "other")
    pushed = done_well(built, "push", "web", f"{base}:1")["manifest"]
    built.write("top.env", "recipe top", f"from registry:{base}:1", "env B=2")
    assert elsewhere.command("build", "top").code == 0
    policy(built, f"{base} release")
    for project in (elsewhere, built):  # one has pulled it
        for words in (("build", "top"), ("build", "top", "--offline"), ("update", "top")):
            assert f"{base}:1 may not be used as a base: {NOBODY_SIGNED}" in refused(project, *words)
    # What is signed later is seen, as is that it is not.
    assert done_well(built, "push", "web", f"{base}:1", "--sign", "--key", "other")["manifest"] == pushed
    assert NOBODY_SIGNED in refused(elsewhere, "build", "top")
    done_well(built, "push", "web", f"{base}:1", "--sign", "--key", "release")
    for project in (elsewhere, built):
        assert project.command("build", "top").code == 0
        assert project.command("build", "top", "--offline", "--locked").code == 0


def test_an_image_in_a_file_is_known_by_its_path(built: Project):
    assert built.command("export", "web", "-o", "base.tar").code == 0
    built.write("top.env", "recipe top", "from oci:base.tar", "env B=2")
    assert built.command("build", "top").code == 0
    built.write(".config/envbuild/policy.toml", '[[rule]]\nnames = ["oci:*"]\nrefuse = true')
    assert "oci:base.tar may not be used as a base: the policy refuses it" in refused(built, "build", "top")
    assert "oci:base.tar may not be used as a base" in refused(built, "build", "top", "--no-cache")

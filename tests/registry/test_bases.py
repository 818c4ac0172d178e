"""`from registry:HOST/PATH`: recipes that begin with an image of a registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Project, pins_of
from tests.registry.hostile import INDEX, Registry
from tests.sharing.images import config, descriptor, digest, layer

pytestmark = pytest.mark.namespaces

FIRST = layer(("etc", None), ("etc/a", b"first"))
SECOND = layer(("etc", None), ("etc/a", b"second"))
LAST = "env B=2"


@pytest.fixture
def there(server) -> Registry:
    registry = server()
    registry.image(FIRST)
    return registry


@pytest.fixture
def other_store(user: Project, tmp_path: Path) -> Project:
    """The same project with an empty store."""
    project = Project(user.folder, tmp_path / "other-store")
    project.environment = {**user.environment, "ENVBUILD_STORE": str(tmp_path / "other-store")}
    return project


def origin_of(project: Project) -> str:
    return str(pins_of(project.folder / "web.env.lock")["stages"][0]["origin"])


@pytest.mark.user
def test_its_facts_come_along_and_the_lock_pins_its_manifest(user: Project, there: Registry):
    done = user.build(f"from registry:{there.host}/shop/web:1", LAST)
    assert done.code == 0, done.err
    facts = user.show()["facts"]
    assert (facts["env"], facts["start"]) == ({"B": "2"}, {"argv": ["/bin/sh"]})
    assert user.cat("/etc/a") == "first"
    assert origin_of(user) == f"manifest {digest(there.manifests['1'][1])}"
    asked = len(there.requests)
    again = user.build(options=("--locked=exact",))
    assert (again.code, again.ran, len(there.requests)) == (0, [], asked)
    assert user.command("verify", "web").code == 0
    assert "lock up to date" in user.command("status").out


def test_a_tag_that_moved_under_the_lock_changes_nothing_until_an_update(
    user: Project, other_store: Project, there: Registry
):
    assert user.build(f"from registry:{there.host}/shop/web:1", LAST).code == 0
    pinned = origin_of(user)
    there.image(SECOND)
    assert user.build(options=("--locked",)).code == 0
    there.requests.clear()
    elsewhere = other_store.build(options=("--locked",))
    assert elsewhere.code == 0, elsewhere.err
    assert other_store.cat("/etc/a") == "first"
    assert not any(request.path.endswith("/manifests/1") for request in there.requests)  # by digest alone
    dry = user.command("update", "web.env", "--dry-run")
    assert f"registry:{there.host}/shop/web:1" in dry.out
    assert digest(there.manifests["1"][1])[:19] in dry.out
    assert origin_of(user) == pinned
    moved = user.command("update", "web.env")
    assert moved.code == 0, moved.err
    assert user.cat("/etc/a") == "second"
    assert origin_of(user) != pinned


def test_an_update_tells_of_an_image_of_the_same_files(user: Project, there: Registry):
    assert user.build(f"from registry:{there.host}/shop/web:1", LAST).code == 0
    there.image(FIRST, annotations={"say": "more"})
    assert "manifest sha256:" in user.command("update", "web.env", "--dry-run").out
    assert user.command("update", "web.env").code == 0
    assert origin_of(user) == f"manifest {digest(there.manifests['1'][1])}"
    assert "nothing moved" in user.command("update", "web.env").out


def test_without_the_network_it_is_there_or_one_error(user: Project, other_store: Project, there: Registry):
    assert user.build(f"from registry:{there.host}/shop/web:1", LAST).code == 0
    asked = len(there.requests)
    assert user.build(f"from registry:{there.host}/shop/web:1", "env C=3", options=("--offline",)).code == 0
    refused = other_store.command("build", "web.env", "--offline")
    assert refused.code == 2 or refused.code == 1
    assert f"from registry:{there.host}/shop/web:1: this store does not have the image" in refused.err
    assert refused.err.count("error:") == 1
    assert len(there.requests) == asked


def test_what_is_pinned_and_gone_is_told_with_the_way_out(user: Project, other_store: Project, there: Registry):
    assert user.build(f"from registry:{there.host}/shop/web:1", LAST).code == 0
    pinned = digest(there.manifests["1"][1])
    del there.manifests[pinned]
    gone = other_store.command("build", "web.env", "--locked")
    assert gone.code != 0
    assert pinned in gone.err
    assert "envbuild update" in gone.err


def test_of_several_platforms_each_machine_takes_its_own_and_all_pin_one_index(
    user: Project, other_store: Project, there: Registry
):
    manifests = []
    for number, (name, files) in enumerate((("amd64", FIRST), ("arm64", SECOND))):
        content = config((files,)).replace(b'"amd64"', f'"{name}"'.encode())
        there.blobs[digest(content)] = content
        manifest = there.image(files, tag=f"only-{number}")
        manifest["config"] = descriptor(content, manifest["config"]["mediaType"])
        body = json.dumps(manifest).encode()
        there.put(f"only-{number}", manifest["mediaType"], body)
        platform = {"os": "linux", "architecture": name}
        manifests.append({**descriptor(body, manifest["mediaType"]), "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    there.put("many", INDEX, index)
    word = f"registry:{there.host}/shop/web:many"
    assert user.build(f"from {word}", LAST).code == 0
    assert user.cat("/etc/a") == "first"
    assert origin_of(user) == f"manifest {manifests[0]['digest']} of index {digest(index)}"
    there.image(SECOND, tag="many")
    # A machine of another kind takes what the first one's index has, whatever the tag names by now.
    lock = user.folder / "web.env.lock"
    lock.write_text(lock.read_text().replace("  amd64:", "  arm64:").replace("- amd64 ", "- arm64 "))
    assert other_store.build().code == 0
    assert other_store.cat("/etc/a") == "first"
    chosen = user.build(f"from(platform=linux/arm64) registry:{there.host}/shop/web@{digest(index)}", LAST)
    assert chosen.code == 0, chosen.err
    assert user.cat("/etc/a") == "second"
    assert user.show()["facts"]["arch"] == "arm64"
    assert user.build(options=("--locked",)).code == 0


def test_a_lock_names_no_image_of_the_store_by_its_tree(user: Project, there: Registry):
    """Whoever writes a lock could name what is private on this machine."""
    there.image(SECOND, tag="private")
    assert user.build(f"from registry:{there.host}/private:private", LAST, name="private.env").code == 0
    assert user.build(f"from registry:{there.host}/shop/web:1", LAST).code == 0
    private = pins_of(user.folder / "private.env.lock")["stages"][0]["digest"]
    own = pins_of(user.folder / "web.env.lock")["stages"][0]["digest"]
    lock = user.folder / "web.env.lock"
    lock.write_text(lock.read_text().replace(own, private))
    assert user.build(options=("--locked",)).code == 1
    assert user.build().code == 0
    assert user.cat("/etc/a") == "first"


def test_a_name_that_is_none_is_refused_with_its_line(user: Project):
    done = user.command("build", str(user.write("web.env", "from registry:localhost:99999/web")))
    assert done.code == 2
    assert "web.env:1" in done.err
    assert "there is no port 99999" in done.err

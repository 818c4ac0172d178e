"""cosign reads what envbuild signs, and the other way. Debian sid has it; elsewhere there is none to ask."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.conftest import Project
from tests.registry.test_push_and_pull import done_well

pytestmark = [pytest.mark.namespaces, pytest.mark.nightly]
# No log is reached from here, and none is wanted: the key alone counts.
WORDS = ("--insecure-ignore-tlog", "--allow-http-registry")


@pytest.fixture
def cosign(built: Project):
    if shutil.which("cosign") is None:
        pytest.skip("cosign is not installed")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(built.folder), "COSIGN_PASSWORD": ""}
        return subprocess.run(
            ["cosign", *words], cwd=built.folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_cosign_accepts_what_envbuild_signed(built: Project, registry, cosign):
    image = f"{registry().host}/shop/web:1"
    for name in ("release", "other"):
        assert built.command("key", "generate", f"./{name}").code == 0
    digest = done_well(built, "push", "web", image, "--sign", "--key", "./release.key")["manifest"]
    done = cosign("verify", "--key", "release.pub", *WORDS, image)
    assert (done.returncode, digest in done.stdout) == (0, True), done.stderr
    for kind in ("slsaprovenance1", "cyclonedx"):
        done = cosign("verify-attestation", "--type", kind, "--key", "release.pub", *WORDS, image)
        assert done.returncode == 0, done.stderr
    assert cosign("verify", "--key", "other.pub", *WORDS, image).returncode != 0


def test_envbuild_accepts_what_cosign_signed(built: Project, elsewhere: Project, registry, cosign):
    name = f"{registry().host}/shop/web"
    digest = done_well(built, "push", "web", f"{name}:1")["manifest"]
    assert cosign("generate-key-pair").returncode == 0
    offline = ("--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "-y")
    done = cosign("sign", "--key", "cosign.key", *offline, f"{name}@{digest}")
    assert done.returncode == 0, done.stderr
    assert "signed as no name by ./cosign.pub" in built.command("verify", f"{name}:1", "--key", "./cosign.pub").out
    policy = f'[[rule]]\nnames = ["{name}"]\nkeys = ["../../cosign.pub"]\n'
    elsewhere.write(".config/envbuild/policy.toml", policy).chmod(0o644)
    assert "its signature is for no name" in elsewhere.command("pull", f"{name}:1").err
    elsewhere.write(".config/envbuild/policy.toml", policy, 'signed-as = ["*"]')
    done_well(elsewhere, "pull", f"{name}:1")
    assert elsewhere.command("run", "web:1").out == "one\n"

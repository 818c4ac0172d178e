"""Files with keys: made for their owner alone, and read as nothing else."""

from __future__ import annotations

import os
import subprocess

import pytest

from envbuild.trust.keys import MAX_KEY, BadKey, KeyExists, generate, read_private, read_public
from tests.trust.conftest import no_password


def test_a_new_key_is_for_its_owner_alone(tmp_path):
    os.umask(os.umask(0))
    public = generate(str(tmp_path / "web"), b"")
    assert (tmp_path / "web.key").stat().st_mode & 0o777 == 0o600
    assert read_public(str(tmp_path / "web.pub")).der == public.der
    key, open_to_others = read_private(str(tmp_path / "web.key"), no_password)
    assert (key.public.der, open_to_others) == (public.der, False)
    (tmp_path / "web.key").chmod(0o640)
    assert read_private(str(tmp_path / "web.key"), no_password)[1]


@pytest.mark.parametrize("name", ["web.key", "web.pub"])
def test_nothing_is_written_over_nor_through_a_link(tmp_path, name):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyExists):
        generate(str(tmp_path / "web"), b"")
    assert (tmp_path / "elsewhere").read_text() == "mine"
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyExists):
        generate(str(tmp_path / "web"), b"")
    assert not (tmp_path / "nowhere").exists()


def test_a_password_is_needed_to_sign(tmp_path):
    public = generate(str(tmp_path / "web"), b"secret")
    assert b"ENCRYPTED" in (tmp_path / "web.key").read_bytes()
    assert read_private(str(tmp_path / "web.key"), lambda: b"secret")[0].public.der == public.der
    for wrong in (b"other", b""):
        with pytest.raises(BadKey, match="not its password"):
            read_private(str(tmp_path / "web.key"), lambda wrong=wrong: wrong)


def test_what_is_no_key_is_refused(tmp_path):
    generate(str(tmp_path / "web"), b"")
    (tmp_path / "text").write_text("no key")
    (tmp_path / "large").write_bytes(b"-----BEGIN PUBLIC KEY-----\n" + b"A" * MAX_KEY)
    os.mkfifo(tmp_path / "pipe")
    subprocess.run("openssl genrsa -out rsa.pem 2048 && openssl rsa -in rsa.pem -pubout -out rsa.pub",
                   shell=True, cwd=tmp_path, capture_output=True, check=True)  # fmt: skip
    for name in ("text", "large", "pipe", ".", "nowhere", "web.key", "rsa.pub", "a\0b"):
        with pytest.raises(BadKey):
            read_public(str(tmp_path / name))
    for name in ("text", "large", "pipe", ".", "nowhere", "web.pub", "rsa.pem"):
        with pytest.raises(BadKey):
            read_private(str(tmp_path / name), no_password)
    with pytest.raises(BadKey, match="private key") as error:
        read_public(str(tmp_path / "web.key"))
    assert error.value.hint.endswith("web.pub")

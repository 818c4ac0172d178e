"""Secrets of a machine: which files and values are, what stands in their place, and what is not taken for one."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from pathlib import Path

import pytest

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.redaction import Redacted
from envbuild.capture.secret_files import MAX_SEARCHED, SecretFiles
from envbuild.capture.secret_key import secret_key
from envbuild.images.secret_placeholder import has_placeholder, read_placeholder

KEY = b"k" * 32
PEM = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + b"b3BlbnNzaC1rZXktdjEAAAAA\n" * 3
    + b"-----END OPENSSH PRIVATE KEY-----\n"
)
WORD = re.compile(rb"envbuild-secret-v1-[0-9a-f]{64}")


class Kept:
    """What a capture keeps of files with a content."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)

    def redacted(self, path: str, content: bytes, mode: int = 0o644, key: bytes = KEY) -> Redacted | None:
        self.write(path, content, mode)
        opened = os.open(self.root / path, os.O_RDONLY)
        try:
            with MachineRoot(str(self.root)) as root:
                return SecretFiles(root, key).redacted(os.fsencode(path), os.fstat(opened), opened)
        finally:
            os.close(opened)

    def hidden(self, path: str, content: str) -> str:
        """Return a content with `<>` for each secret."""
        redacted = self.redacted(path, content.encode())
        return content if redacted is None else WORD.sub(b"<>", redacted.content).decode()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "root").mkdir()
    return Kept(tmp_path / "root")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "etc/ssh/ssh_host_ed25519_key",
            "home/ada/.ssh/id_rsa",
            "root/.ssh/work",
            "home/ada/.gnupg/private-keys-v1.d/A.key",
        ),
        *("etc/ssl/private/web.key", "etc/letsencrypt/archive/example.org/privkey1.pem", "etc/krb5.keytab"),
        *("home/ada/.pgpass", "root/.aws/credentials", "home/ada/.git-credentials", "srv/store.p12", "srv/app/.env"),
        *("var/lib/samba/private/secrets.tdb", "home/ada/.local/share/keyrings/login.keyring", "etc/ppp/chap-secrets"),
        "home/ada/.mozilla/firefox/abc.default/logins.json",
    ],
)
def test_a_file_that_is_secret_is_a_line_with_its_size_and_keyed_digest(kept: Kept, path: str):
    redacted = kept.redacted(path, b"very secret\n", 0o600)
    digest = hmac.digest(KEY, b"very secret\n", hashlib.sha256).hex()
    assert redacted == Redacted(b"envbuild-secret v1 12 %s\n" % digest.encode(), None, digest)
    placeholder = read_placeholder(redacted.content)
    assert placeholder is not None
    assert placeholder.size == 12


@pytest.mark.parametrize(
    "path",
    [
        *("home/ada/.ssh/config", "home/ada/.ssh/known_hosts", "home/ada/.ssh/authorized_keys", "root/.ssh/id_rsa.pub"),
        *("etc/ssh/ssh_host_ed25519_key.pub", "home/ada/.gnupg/gpg.conf", "etc/ssl/certs/web.pem", "etc/hostname"),
        *("usr/bin/env", "home/ada/env", "etc/nsswitch.conf", "etc/pam.d/common-password"),
    ],
)
def test_what_is_no_secret_is_kept(kept: Kept, path: str):
    assert kept.redacted(path, b"passwd: files systemd\npassword required pam_unix.so\npassword = x\n", 0o600) is None


def test_equal_secrets_are_equal_lines_and_another_store_has_others(kept: Kept):
    first = kept.redacted("a/.ssh/id_rsa", b"same")
    assert kept.redacted("b/.ssh/id_ecdsa", b"same") == first
    assert kept.redacted("b/.ssh/id_ecdsa", b"other") != first
    assert kept.redacted("b/.ssh/id_ecdsa", b"same", key=b"j" * 32) != first


def test_hashes_of_passwords_go_and_locks_stay(kept: Kept):
    shadow = "root:$y$j9T$abc:19000:0:99999:7:::\nada:!$6$x:1::::::\ndaemon:*:1::::::\nbin:!:1::::::\nnew:!!:1::::::\n"
    assert kept.hidden("etc/shadow", shadow) == shadow.replace("$y$j9T$abc", "!<>").replace("!$6$x", "!<>")
    assert kept.hidden("etc/shadow-", "old:$1$a$b:1::::::\n") == "old:!<>:1::::::\n"
    assert kept.hidden("etc/gshadow", "wheel:$6$x:ada:ada\nx:!::\n") == "wheel:!<>:ada:ada\nx:!::\n"
    assert kept.redacted("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nada:*:1:1:::\n") is None
    assert kept.hidden("etc/passwd", "old:JKh7s6djw2:1:1:::\n") == "old:<>:1:1:::\n"


@pytest.mark.parametrize(
    ("path", "line", "hidden"),
    [
        ("etc/environment", "GITHUB_TOKEN=ghp_1234\n", "GITHUB_TOKEN=<>\n"),
        ("etc/environment", 'export DB_PASSWORD="a b c"\n', 'export DB_PASSWORD="<>"\n'),
        (
            "etc/environment",
            "PATH=/usr/bin\nPASSWORD_FILE=/etc/x\nTOKEN=$OTHER\n",
            "PATH=/usr/bin\nPASSWORD_FILE=/etc/x\nTOKEN=$OTHER\n",
        ),
        ("etc/systemd/system/a.service", "Environment=API_KEY=abc X=1\n", "Environment=API_KEY=<>\n"),
        ("etc/NetworkManager/system-connections/home", "[wifi-security]\npsk=hunter2 3\n", "[wifi-security]\npsk=<>\n"),
        ("etc/NetworkManager/system-connections/home", "password-flags=0\n", "password-flags=0\n"),
        ("etc/wpa_supplicant/w.conf", 'network={\n\tpsk="my pass"\n}\n', 'network={\n\tpsk="<>"\n}\n'),
        ("etc/wireguard/wg0.conf", "PrivateKey = /abc+def=\nPublicKey = xyz=\n", "PrivateKey = <>\nPublicKey = xyz=\n"),
        ("etc/apt/auth.conf.d/a.conf", "machine a login b password c\n", "machine a login b password <>\n"),
        ("etc/apt/sources.list", "deb https://me:pw@repo.example/x y z\n", "deb https://me:<>@repo.example/x y z\n"),
        ("home/ada/.netrc", "machine a\nlogin b\npassword c\n", "machine a\nlogin b\npassword <>\n"),
        ("home/ada/.npmrc", "//r.example/:_authToken=npm_x\n", "//r.example/:_authToken=<>\n"),
        (
            "home/ada/.docker/config.json",
            '{"auths": {"r": {"auth": "dXNlcg=="}}}\n',
            '{"auths": {"r": {"auth": "<>"}}}\n',
        ),
        ("home/ada/.kube/config", "  user: {token: abc, name: x}\n", "  user: {token: <>, name: x}\n"),
        ("home/ada/.config/gh/hosts.yml", "  oauth_token: gho_x\n  user: ada\n", "  oauth_token: <>\n  user: ada\n"),
        ("home/ada/.m2/settings.xml", "<password>x</password>\n", "<password><></password>\n"),
        ("home/ada/.my.cnf", "[client]\npassword=x#y\n", "[client]\npassword=<>\n"),
        (
            "home/ada/.bashrc",
            "export AWS_SECRET_ACCESS_KEY=abc\nalias a=b\n",
            "export AWS_SECRET_ACCESS_KEY=<>\nalias a=b\n",
        ),
        ("etc/fstab", "//s/x /x cifs user=a,password=b,ro 0 0\n", "//s/x /x cifs user=a,password=<>,ro 0 0\n"),
        ("etc/grub.d/40_custom", "password_pbkdf2 root grub.pbkdf2.sha512.1\n", "password_pbkdf2 root <>\n"),
        ("var/spool/cron/crontabs/ada", "* * * * * curl https://a:b@c/\n", "* * * * * curl https://a:<>@c/\n"),
    ],
)
def test_values_on_the_list_are_replaced_and_all_else_stays(kept: Kept, path: str, line: str, hidden: str):
    assert kept.hidden(path, line) == hidden


def test_another_name_of_a_secret_is_one(kept: Kept):
    kept.write("etc/shadow", b"root:$6$HASH:1::::::\n", 0o600)
    kept.write("etc/ssh/ssh_host_rsa_key", b"KEY", 0o600)
    (kept.root / "home/eve").mkdir(parents=True)
    for path, other in (("etc/shadow", "home/eve/a"), ("etc/ssh/ssh_host_rsa_key", "home/eve/b")):
        os.link(kept.root / path, kept.root / other)
        opened = os.open(kept.root / other, os.O_RDONLY)
        try:
            with MachineRoot(str(kept.root)) as root:
                assert SecretFiles(root, KEY).redacted(os.fsencode(other), os.fstat(opened), opened) is not None
        finally:
            os.close(opened)


def test_a_private_key_is_found_by_its_content(kept: Kept):
    assert kept.redacted("srv/tls/combined", b"\n" + PEM).values is None
    assert kept.redacted("opt/app/deploy_key", b"# mine\n" + PEM, 0o600).values == 1
    assert (
        kept.redacted(
            "usr/lib/x/server.pem", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n" + PEM
        ).values
        is None
    )
    inline = kept.redacted("etc/openvpn/client.conf", b"remote a\n<key>\n" + PEM + b"</key>\n")
    assert b"b3Blb" not in inline.content
    assert inline.content.startswith(b"remote a\n<key>\n-----BEGIN OPENSSH PRIVATE KEY-----\nenvbuild-secret-v1-")
    assert has_placeholder(inline.content)


def test_a_text_about_keys_is_no_key(kept: Kept):
    assert kept.redacted("usr/share/doc/x/README", PEM) is None
    assert kept.redacted("opt/app/keys.py", b'START = "-----BEGIN PRIVATE KEY-----"\n', 0o600) is None


def test_what_everybody_can_have_from_the_package_is_no_secret(kept: Kept):
    sums = b"%s  lib/x/test.key\n" % hashlib.md5(PEM).hexdigest().encode()
    kept.write("var/lib/dpkg/info/x.md5sums", sums)
    conf = b"TOKEN=example\n"
    status = f"Package: y\nStatus: install ok installed\nConffiles:\n /etc/default/y {hashlib.md5(conf).hexdigest()}\n"
    kept.write("var/lib/dpkg/status", status.encode())
    assert kept.redacted("usr/lib/x/test.key", PEM) is None
    assert kept.redacted("usr/lib/x/test.key", PEM.replace(b"AAAA", b"BBBB")) is not None
    assert kept.redacted("etc/default/y", conf) is None
    assert kept.redacted("etc/default/y", b"TOKEN=mine\n") is not None


def test_a_large_file_on_the_list_is_secret_as_a_whole(kept: Kept):
    redacted = kept.redacted("etc/environment", b"X=1\n" * (MAX_SEARCHED // 4 + 1))
    assert redacted.values is None
    assert len(redacted.content) < 128


@pytest.mark.parametrize(
    "piece",
    [
        b"token",
        b"a://",
        b"a://b:",
        b"password ",
        b"-----BEGIN A A A ",
        b"x-",
        b" :",
        b"_auth.",
        b"://",
        b"{",
        b"export ",
        b"a:",
    ],
)
def test_a_hostile_file_takes_no_longer_than_another_of_its_size(kept: Kept, piece: bytes):
    begun = time.process_time()
    # Quadratic time would be minutes.
    for path in ("home/ada/.bashrc", "etc/shadow"):
        kept.redacted(path, piece * (MAX_SEARCHED // 4 // len(piece)))
    assert time.process_time() - begun < 20


def test_command_lines_and_variables_of_state_have_no_secrets(kept: Kept):
    with MachineRoot(str(kept.root)) as root:
        secret_files = SecretFiles(root, KEY)
        state = {
            "kernel": "command line\tquiet rd.password=x root=/dev/sda\n",
            "login-environment": "set\tAPI_TOKEN\tabc\t/etc/environment\nset\tEDITOR\tvi\t/etc/environment\n",
            "users": "token\t1\t1\t/home/token\t/bin/sh\tpassword\t\n",
        }
        hidden = secret_files.hidden_state(state)
    assert WORD.sub(b"<>", hidden["kernel"].encode()) == b"command line\tquiet rd.password=<> root=/dev/sda\n"
    assert (
        WORD.sub(b"<>", hidden["login-environment"].encode()).splitlines()[0] == b"set\tAPI_TOKEN\t<>\t/etc/environment"
    )
    assert "EDITOR\tvi" in hidden["login-environment"]
    assert hidden["users"] == state["users"]


def test_the_key_of_a_store_is_drawn_once_and_belongs_to_its_owner(tmp_path: Path):
    key = secret_key(str(tmp_path))
    assert len(key) == 32
    assert secret_key(str(tmp_path)) == key
    assert (tmp_path / "capture.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["capture.key"]
    (tmp_path / "capture.key").write_bytes(b"cut")
    assert len(secret_key(str(tmp_path))) == 32
    (tmp_path / "other").mkdir()
    assert secret_key(str(tmp_path / "other"), writable=False) != secret_key(str(tmp_path / "other"), writable=False)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_comment_about_passwords_is_prose(kept: Kept):
    text = "# days after a password expires until\n# machine x password <>\nmachine a password <> login b password <>\n"
    assert kept.hidden("etc/default/useradd", text.replace("<>", "hidden1")) == text

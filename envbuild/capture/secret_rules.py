"""Which files of a machine are secret, and which values in files: the documented list (docs/capture.md, "Secrets").

Paths are relative to the root. Files are anybody's, so that each expression is bounded: none takes longer than in
proportion to what it reads.
"""

from __future__ import annotations

import re

_HOME = rb"(?:.*/)?"
"""Homes, wherever they are."""

_WHOLE_IN_SYSTEM = (
    # Keys of hosts, of certificates, of virtual private networks, of disks.
    rb"etc/ssh/ssh_host_[^/]*_key",
    rb"etc/(?:ssl|pki/tls|pki/CA)/private/.+|etc/letsencrypt/(?:archive/.+/privkey[^/]*\.pem|accounts/.+)",
    rb"etc/(?:ipsec\.secrets|ipsec\.d/private/.+|swanctl/(?:private|rsa|ecdsa|pkcs8|pkcs12)/.+|openvpn/.+\.key)",
    rb"etc/(?:kubernetes/pki/.+\.key|docker/key\.json|wireguard/.+\.key|cryptsetup-keys\.d/.+|luks/.+|keys/.+)",
    rb"crypto_keyfile\.bin|boot/crypto_keyfile\.bin",
    # Passwords of services, as files.
    rb"etc/(?:krb5\.keytab|ppp/(?:chap|pap|srp)-secrets|exim4/passwd\.client|postfix/sasl_passwd(?:\.db)?)",
    rb"etc/(?:security/opasswd|samba/smbpasswd|credstore(?:\.encrypted)?/.+)",
    # What daemons drew for themselves.
    rb"var/lib/(?:samba/private/.+|sss/secrets/.+|NetworkManager/secret_key|systemd/credential\.secret)",
    rb"var/lib/(?:tailscale/.+\.state|tor/.*secret_key[^/]*|iwd/.+|private/.+/secret[^/]*)",
)
_WHOLE_IN_HOMES = (
    rb"\.ssh/(?!authorized_keys2?$|known_hosts(?:\.old)?$|config$|environment$|rc$|[^/]*\.pub$)[^/]+",
    rb"\.gnupg/(?:private-keys-v1\.d/.+|openpgp-revocs\.d/.+|secring\.gpg|random_seed)",
    rb"\.(?:pgpass|git-credentials|vault-token|htpasswd|smbcredentials|Xauthority|ICEauthority|mylogin\.cnf)",
    rb"\.env(?:\.[a-z]+)?",
    rb"\.aws/(?:credentials|cli/cache/.+|sso/cache/.+)|\.azure/(?:accessTokens\.json|msal_.+|service_principal_.+)",
    rb"\.config/gcloud/(?:.+\.db|application_default_credentials\.json|legacy_credentials/.+)",
    rb"\.terraform\.d/credentials\.tfrc\.json|(?:\.composer|\.config/composer)/auth\.json|\.huggingface/token",
    rb"\.local/share/(?:keyrings|kwalletd)/.+",
    rb"(?:\.mozilla|\.thunderbird|\.config|\.var/app|snap)/.*/"
    rb"(?:logins(?:-backup)?\.json|key[34]\.db|cookies\.sqlite|Login Data|Cookies|Web Data)(?:-journal|-wal)?",
)
WHOLE_NAMES = (b".p12", b".pfx", b".jks", b".keystore", b".kdbx", b".kdb", b".ppk")
"""Ends of the names of files that hold keys, wherever they are."""
KEY_NAMES = (b".pem", b".key")
MORE_KEY_NAMES = (*KEY_NAMES, b".crt", b".cer", b".conf", b".ovpn", b".asc", b".txt")
"""Ends of the names of files that are searched for a private key, though everybody may read them: also of those that
packages install, and of others."""

_VALUES_IN_SYSTEM = (
    # The environment of logins and services.
    rb"etc/(?:environment|environment\.d/.+|profile|profile\.d/.+|bash\.bashrc|default/.+|sysconfig/.+|fstab)",
    rb"etc/(?:systemd/(?:system|user)/.+|crontab|cron\.d/.+|anacrontab)|var/spool/cron/.+",
    # Networks.
    rb"etc/(?:NetworkManager/system-connections/.+|wpa_supplicant/.+|wireguard/.+\.conf|netplan/.+|network/.+)",
    rb"var/lib/bluetooth/.+/info|etc/(?:ddclient|iscsi/iscsid)\.conf",
    # Sources of packages.
    rb"etc/(?:apt/(?:sources\.list|sources\.list\.d/.+|auth\.conf|auth\.conf\.d/.+|apt\.conf|apt\.conf\.d/.+)|pip\.conf|npmrc)",
    rb"etc/(?:yum\.repos\.d/.+|gitconfig)",
    # Services.
    rb"etc/(?:mysql/.+|my\.cnf|redis/.+|msmtprc|ldap/.+\.conf|ldap\.conf|nslcd\.conf|sssd/.+|bind/.+\.key|rndc\.key)",
    rb"etc/(?:grub\.d/.+|grafana/.+|docker/daemon\.json|zabbix/.+)|boot/grub2?/(?:grub|user|custom)\.cfg",
)
_VALUES_IN_HOMES = (
    rb"\.(?:profile|bashrc|bash_profile|bash_login|bash_aliases|zshrc|zshenv|zprofile|pam_environment)",
    rb"\.config/environment\.d/.+|\.(?:netrc|my\.cnf|pypirc|npmrc|yarnrc(?:\.yml)?|gitconfig|msmtprc|mbsyncrc|fetchmailrc)",
    rb"\.(?:boto|s3cfg|docker/config\.json|dockercfg|kube/config|aws/config|pip/pip\.conf|m2/settings\.xml)",
    rb"\.(?:gradle/gradle\.properties|cargo/credentials(?:\.toml)?|config/pip/pip\.conf|config/git/config)",
    rb"\.config/(?:git/credentials|gh/hosts\.yml|glab-cli/config\.yml|hub|rclone/rclone\.conf|containers/auth\.json)",
)
_HASHES = rb"etc/(?:g?shadow|passwd|group)-?|var/backups/(?:g?shadow|passwd|group)\.bak(?:\.\d)?"


def _any(system: tuple[bytes, ...], homes: tuple[bytes, ...]) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    return (
        re.compile(b"|".join(system), re.DOTALL),
        re.compile(b"%s(?:%s)" % (_HOME, b"|".join(homes)), re.DOTALL),
    )


_WHOLE_SYSTEM, _WHOLE_HOMES = _any(_WHOLE_IN_SYSTEM, _WHOLE_IN_HOMES)
_VALUES_SYSTEM, _VALUES_HOMES = _any((*_VALUES_IN_SYSTEM, _HASHES), _VALUES_IN_HOMES)
_HASH_PATHS = re.compile(_HASHES)
_TOPS = (b"etc/", b"var/", b"boot/", b"crypto")


def is_whole(path: bytes) -> bool:
    """Return whether a file is secret by its path."""
    if path.endswith(WHOLE_NAMES):
        return True
    if path.startswith(_TOPS) and _WHOLE_SYSTEM.fullmatch(path):
        return True
    return _in_dotted(path) and _WHOLE_HOMES.fullmatch(path) is not None


def value_patterns(path: bytes) -> tuple[re.Pattern[bytes], ...]:
    """Return the expressions for what is secret in a file, as their group `secret`; none for a file that is not on the
    list."""
    if path.startswith(_TOPS) and _VALUES_SYSTEM.fullmatch(path):
        return HASHES if _HASH_PATHS.fullmatch(path) else VALUES
    return VALUES if _in_dotted(path) and _VALUES_HOMES.fullmatch(path) else ()


def _in_dotted(path: bytes) -> bool:
    return b"/." in path or path.startswith((b".", b"snap/"))


_NAME = (
    rb"[\w.-]{0,60}(?:password|passwd|passphrase|secret|token|psk|api[-_]?key|private[-_]?key|preshared[-_]?key"
    rb"|access[-_]?key|wep[-_]?key|credential|bindpw|authtok|requirepass|client-key-data)[\w.-]{0,60}"
    rb"|(?:[\w.-]{0,60}[-_.])?(?:pass|pw|pin)|_auth|_authToken|auth|identitytoken|LinkKey|Key"
)
"""Names of what is a secret, such as DB_PASSWORD, clientSecret, psk."""
_NO_SECRET = (
    rb"(?!(?:yes|no|true|false|none|null|on|off|ask|file|\d{1,3})[\s\"',;]*(?:$|#)"
    rb"|/(?:etc|usr|var|run|home|root|srv|opt|tmp|dev|proc|boot|mnt|media)(?:/|$)|~/"
    rb"|\$\{?\w+\}?[\"']?[ \t]*$|\$\(|envbuild-secret-v1-)"
)
"""Values that say where a secret is, or whether there is one."""
_PLAIN = rb"password|passwd|bindpw|requirepass|masterauth|secret"
_SIGNS = re.IGNORECASE | re.MULTILINE
URLS = re.compile(
    rb"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"'<>]{0,200}:(?P<secret>[^\s/@\"'<>]{1,500})@", re.IGNORECASE
)
VALUES = (
    # NAME=VALUE and NAME: VALUE in whatever quotes, behind `export`, `Environment=`, `//registry/:` or a brace.
    re.compile(
        rb"^(?:[ \t{]|export[ \t]|set[ \t]|Environment=){0,9}(?://[^\s=:]{1,300}(?::[0-9]{1,5}[^\s=:]{0,300})?:)?[\"']?(?:"
        + _NAME
        + rb")[\"']?"
        rb"[ \t]{0,20}[=:][ \t]{0,20}[\"']?" + _NO_SECRET + rb"(?P<secret>[^\s\"'][^\r\n\"']*)",
        _SIGNS,
    ),
    # The same within a line: JSON, lists of options, several on one line.
    re.compile(
        rb"(?:[\s{,;\"'])(?:"
        + _NAME
        + rb")[\"']?(?:=|[ \t]{0,9}:[ \t]{0,9})[\"']?"
        + _NO_SECRET
        + rb"(?P<secret>[^\s\"',;}]+)",
        _SIGNS,
    ),
    # netrc(5), msmtprc, ldap.conf(5), redis.conf, rndc.key, grub. A comment is prose
    # (`a password expires until`) unless its last word may be one.
    re.compile(
        rb"^[ \t]{0,20}#(?![^\r\n]{0,300}\b(?:" + _PLAIN + rb")[ \t]{1,20}\S{1,300}[ \t]{0,20}$)[^\r\n]{0,600}"
        rb"|(?:^|[ \t])(?:" + _PLAIN + rb")[ \t]{1,20}[\"']?"
        rb"(?!(?:required|requisite|sufficient|optional|include|substack)\b)" + _NO_SECRET + rb"(?P<secret>[^\s\"';]+)",
        _SIGNS,
    ),
    re.compile(rb"password_pbkdf2[ \t]{1,9}\S{1,200}[ \t]{1,9}(?P<secret>\S+)"),
    re.compile(rb"<(?:password|passphrase)>(?P<secret>[^<]+)</", re.IGNORECASE),
    URLS,
)
HASHES = (re.compile(rb"^[^:\n]{1,100}:!*(?P<secret>[^:!*\n][^:\n]+)(?=:)", re.MULTILINE),)
"""The second field of shadow(5) and its like, where it is a hash."""
PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:(?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V1)-----"
    rb"(?P<secret>[^-]{20,100000})-----END|AGE-SECRET-KEY-1(?P<age>[A-Z0-9]{20,200})"
)
"""A private key in a text."""
IN_ROWS = re.compile(
    rb"(?<![\w.-])(?:" + _NAME + rb")(?:=|\t|:[ \t]{0,9})[\"']?" + _NO_SECRET + rb"(?P<secret>[^\s\"']+)", _SIGNS
)
"""A secret in a record of state: a command line, a variable."""

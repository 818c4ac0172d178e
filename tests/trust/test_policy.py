"""Which rule a name has, and what of a policy is an error."""

from __future__ import annotations

import pytest

from envbuild.trust.policy import BadPolicy, Name, Rule, Signed, is_same, matches, read_policy


def policy(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    path.chmod(0o644)
    return read_policy(str(path))


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("web", Name("web"), True),
        ("web", Name("web", "prod"), True),
        ("web", Name("webs"), False),
        ("web", Name("host.test/web"), False),
        ("*", Name(""), True),
        ("*", Name("host.test/a/b", "1"), True),
        ("host.test/shop/*", Name("host.test/shop/a/b"), True),
        ("host.test/shop/*", Name("host.test/shopping/a"), False),
        ("host.test/*", Name("hostXtest/a"), False),
        ("localhost:5000/*", Name("localhost:5000/a"), True),
        ("[::1]:5000/*", Name("[::1]:5000/a"), True),
        ("web:prod", Name("web", "prod"), True),
        ("web:prod", Name("web", "qa"), False),
        ("web:prod", Name("web"), True),
        ("web\n", Name("web"), False),
    ],
)
def test_names_and_patterns(pattern, name, fits):
    assert matches((pattern,), name) is fits


@pytest.mark.parametrize(
    ("used", "signed", "same"),
    [
        ("host.test/shop/web", "host.test/shop/web", True),
        ("host.test/shop/web", "host.test/other/web", False),
        ("host.test/shop/web", "other.test/shop/web", False),
        ("host.test/shop/web", "web", False),
        ("web", "web", True),
        ("web", "host.test/shop/web", True),
        ("web", "host.test/shop/other", False),
        ("web", "", False),
        ("", "", True),
    ],
)
def test_a_signature_is_for_the_name_that_it_gives(used, signed, same):
    assert is_same(used, signed) is same


def test_a_signature_without_a_name_is_for_nothing_but_what_the_rule_says(key):
    own = key("own").public
    assert Rule(("web",), (own,)).missing(Name("web"), [Signed(own, ("",))]) == "its signature is for no name"
    assert Rule(("web",), (own,), signed_as=("*",)).missing(Name("web"), [Signed(own, ("",))]) == ""


def test_the_first_rule_with_a_name_counts(tmp_path, key):
    key("release")
    read = policy(
        tmp_path,
        'default = "refuse"\n'
        '[[rule]]\nnames = ["web:test"]\nallow = true\n'
        '[[rule]]\nnames = ["web", "host.test/*"]\nkeys = ["release.pub"]\n'
        '[[rule]]\nnames = ["host.test/x"]\nallow = true\n',
    )
    own = key("release").public
    missing = "none of the keys that it needs has signed it"
    assert read.rule(Name("web", "test")).missing(Name("web", "test"), []) == ""
    assert read.rule(Name("host.test/x")).missing(Name("host.test/x"), []) == missing
    assert read.rule(Name("web")).missing(Name("web"), [Signed(own, ("web",))]) == ""
    assert read.rule(Name("other")).missing(Name("other"), [Signed(own, ("other",))]) == "the policy refuses it"


def test_a_rule_may_want_several_keys(key):
    keys = [key(name).public for name in ("first", "second")]
    rule = Rule(("web",), tuple(keys), threshold=2)
    both = [Signed(known, ("web",)) for known in keys]
    assert rule.missing(Name("web"), both) == ""
    assert rule.missing(Name("web"), [both[0], both[0]]) == "1 of 2 keys that it needs have signed it"
    assert rule.missing(Name("web"), [both[0], Signed(keys[1], ("other",))]).startswith("1 of 2")


def test_a_policy_without_rules_allows(tmp_path):
    assert policy(tmp_path, "").rule(Name("web")).missing(Name("web"), []) == ""


@pytest.mark.parametrize(
    "text",
    [
        "rule",
        'default = "maybe"',
        "default = true",
        'rules = "x"',
        'defaults = "refuse"',
        "rule = 1",
        "rule = [1]",
        "[[rule]]",
        '[[rule]]\nnames = []\nkeys = ["own.pub"]',
        '[[rule]]\nnames = ["web"]',
        '[[rule]]\nnames = ["web"]\nkeys = []',
        '[[rule]]\nnames = "web"\nkeys = ["own.pub"]',
        '[[rule]]\nnames = [1]\nkeys = ["own.pub"]',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.pub"]\nallow = true',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.pub"]\nkey = "x"',
        '[[rule]]\nnames = ["web"]\nkeys = ["nowhere.pub"]',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.key"]',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.pub"]\nthreshold = 0',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.pub"]\nthreshold = true',
        '[[rule]]\nnames = ["web"]\nkeys = ["own.pub", "own.pub"]\nthreshold = 2',
        '[[rule]]\nnames = ["web"]\nallow = 1',
        '[[rule]]\nnames = ["web"]\nallow = false',
        'x = "\xff"',
    ],
)
def test_a_damaged_policy_is_an_error_and_not_none(tmp_path, key, text):
    key("own")
    with pytest.raises(BadPolicy):
        policy(tmp_path, text)


def test_what_everybody_can_change_is_refused(tmp_path, key):
    key("own")
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\nnames = ["*"]\nkeys = ["own.pub"]\n')
    path.chmod(0o666)
    with pytest.raises(BadPolicy, match="everybody can change it"):
        read_policy(str(path))
    path.chmod(0o644)
    (tmp_path / "own.pub").chmod(0o666)
    with pytest.raises(BadPolicy, match="everybody can change its key"):
        read_policy(str(path))


def test_what_is_no_file_is_an_error(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("link", ".", "nowhere"):
        with pytest.raises(BadPolicy):
            read_policy(str(tmp_path / name))

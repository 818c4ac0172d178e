"""What the lines of a machine's recipe are made of: what apt refuses, what its sources have, what packages need."""

from __future__ import annotations

from envbuild.capture.apt_refusals import refusals_of
from envbuild.capture.group_lines import group_lines, member_lines
from envbuild.capture.machine_writer import with_less
from envbuild.capture.package_relations import needed_exactly, needing_exactly, not_needed, recommends_explain
from envbuild.debian.host_policy import parse_policy
from envbuild.images.accounts import Databases

REFUSED = """\
apt can't resolve it:
E: Version '99' for 'hello' was not found
E: Version '1:2-3+b1' for 'libx:i386' was not found
E: Unable to locate package nobody
E: Package 'gone' has no installation candidate
The following packages have unmet dependencies:
 web : Depends: libweb (= 1.0) but 2.0 is to be installed
       Recommends: more
 worse : PreDepends: libc6 (>= 99) but it is not going to be installed
"""


def test_all_that_apt_refuses_is_read_at_once():
    refused = refusals_of(REFUSED)
    assert refused.versions == {"hello", "libx:i386"}
    assert refused.packages == {"nobody", "gone"}
    assert refused.conflicts == {"web", "worse"}
    assert not refusals_of("a mirror that can't be reached").names


def test_a_version_that_no_source_has_is_asked_for_in_another_one():
    refused = refusals_of(REFUSED)
    assert with_less("hello=99", refused, (), exact=False) == "hello"
    assert with_less("hello=99", refused, ("hello",), exact=False) == ""  # the base has it in another one already
    assert with_less("hello=99", refused, (), exact=True) == ""
    assert with_less("nobody=1", refused, (), exact=False) == ""
    assert with_less("web=1.0", refused, (), exact=False) == "web"
    assert with_less("web", refused, (), exact=False) == ""
    assert with_less("jq=1", refused, (), exact=False) == "jq=1"


def stanza(name: str, **fields: str) -> dict[str, str]:
    return {"package": name, "status": "install ok installed", **fields}


def test_packages_that_only_recommendations_explain_ask_for_recommends():
    status = [
        stanza("web", depends="libweb (>= 1) | libold", recommends="extra, absent"),
        stanza("libweb"),
        stanza("extra", recommends="more, most"),
        stanza("more"),
        stanza("most", provides="virtual (= 1)"),
    ]
    automatic = frozenset({"libweb", "extra", "more", "most"})
    assert recommends_explain(status, automatic)
    assert not recommends_explain(status[:2], automatic)
    # All by hand: nothing is there by recommendation.
    assert not recommends_explain(status, frozenset())


def test_of_a_machine_that_takes_no_recommended_packages_none_are_asked_for():
    status = [stanza("web", recommends="a, b, c"), stanza("a")]
    assert not recommends_explain(status, frozenset({"a"}))


def test_packages_that_need_another_one_in_exactly_its_version():
    status = [
        stanza("libpq-dev", depends="libpq5 (= 15.18-0), libssl-dev"),
        stanza("client", depends="libpq5 (>= 15)"),
        stanza("server", **{"pre-depends": "common, libpq5:any (= 15.18-0) | other"}),
    ]
    assert needing_exactly(status, {"libpq5"}) == {"libpq-dev", "server"}
    assert needing_exactly(status, {"libssl-dev"}) == set()
    assert needed_exactly(status, {"libpq-dev", "client"}) == {"libpq5"}


def test_packages_that_others_need_are_not_removed():
    """`dpkg --purge` of a list removes all of it or nothing."""
    status = [stanza("web", depends="java | runtime"), stanza("jre", provides="java"), stanza("extra"), stanza("more")]
    assert not_needed(status, {"jre", "extra"}) == {"extra"}
    assert not_needed(status, {"web", "jre", "extra"}) == {"web", "jre", "extra"}


def test_groups_and_memberships_of_existing_users():
    before = Databases("root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n", "root:x:0:\nwww:x:33:\nssl-cert:x:101:\n")
    after = Databases(
        "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n",
        "root:x:0:\nwww:x:33:\nssl-cert:x:110:www,ada,$(evil)\nada:x:1000:\nmakers:x:1500:ada\n$(evil):x:7:\n-x:x:8:\n",
    )
    assert [line.text for line in group_lines(before, after, "")] == ["run groupadd --gid 1500 makers"]
    assert [line.text for line in member_lines(before, after, "app")] == [
        "run(user=root) usermod --append --groups ssl-cert www"
    ]


def test_which_sources_have_a_version():
    text = """\
hello:
  Installed: (none)
  Candidate: 2.10-3
  Version table:
     2.10-3 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        500 https://mirror.example.org/debian bookworm/main amd64 Packages
tool:
  Installed: 3.1-1
  Version table:
 *** 3.1-1 100
        100 https://packages.example.org/apt/ stable/main amd64 Packages
        100 /var/lib/dpkg/status
     2.0 -1
        500 https://packages.example.org/flat ./ Packages
"""
    assert parse_policy(text) == {
        ("hello", "2.10-3"): {
            ("http://deb.example.org/debian", "bookworm"),
            ("https://mirror.example.org/debian", "bookworm"),
        },
        ("tool", "3.1-1"): {("https://packages.example.org/apt", "stable")},
    }

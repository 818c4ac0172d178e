"""Bytes that somebody else wrote on purpose: each reader says what is wrong, in time, and relies on nothing they say.

What mutations find is in tests/fuzz; here are the attacks by name.
"""

from __future__ import annotations

import marshal
import os
import sqlite3
import struct
from contextlib import contextmanager
from socket import AF_INET, AF_UNIX, SOCK_STREAM, socket, socketpair

import pytest

from envbuild.archive.compression import open_compressed
from envbuild.archive.limits import ArchiveError, Limits
from envbuild.bases.tarball import prepare_tar
from envbuild.debian.deb import BadArchive, control_of
from envbuild.errors import UsageError
from envbuild.git.repository import author_of
from envbuild.images.find import resolve
from envbuild.instances.network.ports import parse_ports
from envbuild.language.load import load_recipe
from envbuild.language.quoting import MAX_PROBLEMS
from envbuild.sandbox.await_result import await_result
from envbuild.sandbox.codec import MAX_VALUES, BadMessage, decode, decode_plain, encode, encode_plain
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.protocol import (
    ANSWERS,
    EXECUTE,
    RUN,
    Bug,
    Ended,
    EnteredEnded,
    EnteredFailed,
    EnteredTerminal,
    Execute,
    Failed,
    Network,
    Paused,
    Process,
    Root,
    Run,
    Running,
    Sockets,
    Terminal,
    TimedOut,
)
from envbuild.sandbox.spec import STREAMS, Bind, ExecCommand, Request, SandboxFailure, Scratch, Secret
from envbuild.sandbox.user_namespace import SINGLE, IdMap
from envbuild.sandbox.wire import receive, send
from envbuild.store.database import FILE, StoreDamaged
from envbuild.store.store import Store
from envbuild.text.diagnostics import RecipeErrors
from envbuild.tree import entry as tree
from envbuild.tree.patterns import BadPattern, compile_patterns
from tests.bases.tar_bytes import END, header, pax, record
from tests.fuzz.target import Target, attempt


def ends_in_time(read, *raises):
    """Whether a reader comes to an end, with a value or with one of these errors."""
    return attempt(Target("a reader", lambda data: read(), raises), b"") is None


def deb(size):
    return (
        b"!<arch>\n" + b"debian-binary".ljust(16) + b"0           0     0     100644  " + size.ljust(10) + b"`\n2.0\n"
    )


@pytest.mark.parametrize("size", [b"-60", b"-1", b"x", b"99999999", b"1_0", b""])
def test_the_size_of_a_member_of_a_debian_package(tmp_path, size):
    path = tmp_path / "a.deb"
    path.write_bytes(deb(size))

    def read():
        with pytest.raises(BadArchive):
            control_of(str(path))

    assert ends_in_time(read)


def test_a_sparse_file_without_its_size(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(pax(record(b"GNU.sparse.major", b"1")) + header(b"s") + END)
    with pytest.raises(ArchiveError, match="without the size"):
        prepare_tar(str(path), Limits())


def test_an_xz_stream_does_not_choose_how_much_memory_it_takes(tmp_path):
    import lzma

    path = tmp_path / "a.tar.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]
    packed = bytearray(lzma.compress(bytes(1 << 16), check=lzma.CHECK_NONE, filters=filters))
    # The size of the dictionary: the one byte of the filter's properties, and the check sum of its header.
    size = (packed[12] + 1) * 4
    at = packed.index(b"\x21\x01", 12) + 2
    packed[at] = 40  # 4 GiB - 1
    from zlib import crc32

    packed[12 + size - 4 : 12 + size] = crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    path.write_bytes(packed)
    source = open_compressed(str(path))
    with pytest.raises(ArchiveError, match="damaged"):
        source.read(1 << 16)
    source.close()


def test_a_pattern_of_many_stars_takes_no_time():
    matcher = compile_patterns(["*a" * 30 + "b", "**/a/" * 30 + "b"])
    assert ends_in_time(lambda: matcher.matches(b"a" * 200, is_directory=False))
    assert ends_in_time(lambda: matcher.matches(b"a/" * 100 + b"c", is_directory=False))
    with pytest.raises(BadPattern):
        compile_patterns(["*a" * 5000])


def test_references_without_end_take_no_time():
    text = b'from scratch\nenv A="' + b"${a:-${" * 100_000 + b'"\n'
    with pytest.raises(RecipeErrors) as caught:
        load_recipe("x.env", {}, arch="amd64", read=lambda path: text)
    assert len(caught.value.diagnostics) == MAX_PROBLEMS
    assert ends_in_time(lambda: load_recipe("x.env", {}, arch="amd64", read=lambda path: text), RecipeErrors)


def test_a_port_with_a_nul():
    with pytest.raises(UsageError):
        parse_ports("127.0.0.1\0:1:2")
    with pytest.raises(UsageError):
        parse_ports("\udcff:1:2")


@contextmanager
def process_1():
    """What a sandbox would be asked on, and the socket of a process 1 that somebody took over."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    with ours, theirs:
        ours.settimeout(60)
        yield ours, theirs


def said(link, session=None, **more):
    return await_result(link, None, more.get("terminal"), 0.0, session, more.get("running"))


@pytest.mark.parametrize(
    "content",
    [
        marshal.dumps(("ended", (0, 0, ()))),
        encode_plain(("Ended", ("x", 0, ()))),
        encode_plain(("Ended", (True, 0, ()))),
        encode_plain(("Ended", (0, 0, (1,)))),
        encode_plain(("Ended", (0, 0, "text"))),
        encode_plain(("Ended", (100_000, 0, ()))),
        encode_plain(("Ended", (0, 1_000, ()))),
        encode_plain(("Sockets", ("sctp", 1))),
        encode_plain(("no such word", ())),
        encode_plain(("Run", (("/",), ("sh",)))),  # of another family
        encode_plain(("Failed", ())),
        encode_plain(("Failed", "ab")),
        encode_plain((("Failed",), ("", ""))),
        encode_plain(7),
        b"(" + b"\xff\xff\xff\xff" + b"N" * 20,
        b"(\1\0\0\0" * 5000,
    ],
)
def test_what_process_1_says_is_not_relied_upon(content):
    ended = []
    with process_1() as (ours, theirs):
        theirs.sendall(struct.pack("=I", len(content)) + content)
        theirs.close()
        with pytest.raises(BadMessage):
            await_result(ours, None, None, 0.0, Session(), None, lambda: ended.append(True))
    assert ended  # the sandbox is ended


def test_a_message_without_end_is_refused_before_it_comes():
    with process_1() as (ours, theirs):
        theirs.sendall(b"\xff\xff\xff\xff")
        theirs.close()
        with pytest.raises(BadMessage, match="4294967295 bytes"):
            said(ours)


def test_process_1_that_is_killed_while_it_speaks_is_gone():
    with process_1() as (ours, theirs):
        theirs.sendall(struct.pack("=I", 100) + b"(")
        theirs.close()
        assert said(ours).status == 137


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def test_descriptors_of_process_1_are_what_they_should_be_or_are_closed(tmp_path):
    (tmp_path / "file").write_text("not a directory, a terminal or a socket")
    session = Session()
    session.sockets = lambda protocol, count, given: pytest.fail("nobody asked for sockets")
    session.connect = lambda *given: pytest.fail("it is no netlink socket")
    taken = []
    with process_1() as (ours, theirs):
        session.begin(ours, IdMap(SINGLE, 1))
        number = session.enter(ExecCommand(("sh",)), (0, 1, 2), taken.append, lambda master: pytest.fail("no terminal"))
        before = descriptors()
        file = os.open(tmp_path / "file", os.O_RDONLY)
        for message, count in (
            (Terminal(), 1),
            (EnteredTerminal(number), 1),
            (Network(), 3),
            (Sockets("tcp", 2), 2),
            (Root(99), 1),
            (Paused(), 0),
        ):
            send(theirs, message, (file,) * count)
        send(theirs, EnteredEnded(number, 3, 0))
        send(theirs, EnteredEnded(number, 4, 0))
        send(theirs, Ended(5, 0, ()))
        os.close(file)
        theirs.shutdown(1)
        assert said(ours, session, terminal=lambda master: pytest.fail("no terminal")).status == 5
        assert descriptors() == before
    assert [taken_part.status for taken_part in taken] == [3]


def test_no_more_sockets_are_taken_than_were_asked_for():
    session = Session()
    given = []
    session.sockets = lambda protocol, count, sockets: given.extend(sockets)
    with process_1() as (ours, theirs), socket(AF_INET, SOCK_STREAM) as good, socket(AF_UNIX, SOCK_STREAM) as other:
        session.begin(ours, IdMap(SINGLE, 1))
        session.ask_sockets("tcp", 2)
        send(theirs, Sockets("tcp", 4), [good.fileno(), other.fileno(), good.fileno(), good.fileno()])
        send(theirs, Sockets("udp", 1), [good.fileno()])
        theirs.shutdown(1)
        said(ours, session)
    assert len(given) == 2
    for descriptor in given:
        os.close(descriptor)


def test_words_that_come_again_are_heard_once():
    heard = []
    with process_1() as (ours, theirs):
        for _ in range(3):
            send(theirs, Running())
        theirs.close()
        said(ours, running=lambda: heard.append(True))
    assert heard == [True]


def test_values_come_back_as_they_were():
    value = ("a\udcff\0", b"b", (1, -(2**63), 1.5, None, True, False, ()), {"a": ("b",)})
    assert decode_plain(encode_plain(value)) == value
    with pytest.raises(TypeError):
        encode_plain(object())


REQUEST = Request(
    ("/layer",),
    ("sh", "-c", "echo a\udcff"),
    (("PATH", "/bin"),),
    binds=(Bind("/a", "/b"),),
    scratch=(Scratch("/tmp", 5),),
    secrets=(Secret("key", b"\0"),),
    timeout=1.5,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Run(REQUEST), RUN),
        (Run(REQUEST.replace(timeout=None, upper="/upper", work="/work")), RUN),
        (Execute(("/bin/sh",), ("sh",), (("A", "b"),), "/", 1, 2, (3, 4), None, True), EXECUTE),
        (Ended(255, 0, ("/proc",)), ANSWERS),
        (Failed("reason", "hint"), ANSWERS),
        (Bug("traceback"), ANSWERS),
        (EnteredFailed(1, "reason", ""), ANSWERS),
        (Process(1), ANSWERS),
        (TimedOut(), ANSWERS),
    ],
)
def test_messages_come_back_as_they_were(message, expected):
    assert decode(encode(message), expected) == message


def test_a_message_has_the_descriptors_that_it_may_have():
    with process_1() as (ours, theirs):
        before = descriptors()
        send(theirs, Execute(("/bin/sh",), ("sh",), (), "/", 0, 0, (), None, False), (0,) * (STREAMS + 1))
        with pytest.raises(BadMessage, match="4 descriptors"):
            receive(ours, EXECUTE)
        assert descriptors() == before


def test_a_message_of_more_values_than_a_command_can_have():
    content = encode_plain(("Ended", (0, 0, (None,) * MAX_VALUES)))
    with pytest.raises(BadMessage, match="too many values"):
        decode(content, ANSWERS)


def test_a_name_in_a_tree_is_one_component():
    body = tree.encode([tree.Entry(b"../../x", tree.FILE, 0o644, 0, 0, 0, 0, "0" * 64)])
    with pytest.raises(ValueError, match="can't be a name"):
        tree.decode(body)


@pytest.fixture
def damaged(tmp_path):
    """Changes a value in the database of a store that has an image."""
    import shutil

    from tests.fuzz.targets.store import _made

    path = str(tmp_path / "store")
    shutil.copytree(_made(), path)

    def change(statement, *values):
        with sqlite3.connect(f"{path}/{FILE}") as connection:
            connection.execute(statement, values)
        connection.close()
        return Store.open(path)

    return change


@pytest.mark.parametrize(
    ("value", "how"),
    [
        (b"\xff", "CAST(? AS TEXT)"),
        (b"{}", "?"),
        (7, "?"),
        ("null", "?"),
        ("[" * 100_000, "?"),
        ('{"stages": [{"steps": 5}]}', "?"),
        ('{"recipe": 5}', "?"),
    ],
)
def test_a_text_of_the_database_is_not_relied_upon(damaged, value, how):
    with damaged(f"UPDATE images SET detail = {how}", value) as store, pytest.raises(StoreDamaged):
        resolve(store, "web").known  # noqa: B018 - reading it is what is tried


def test_a_tree_of_a_foreign_store_leads_nowhere(damaged):
    body = tree.encode([tree.Entry(b"../x", tree.FILE, 0o644, 0, 0, 0, 0, "0" * 64)])
    digest = tree.digest_of(body)
    with damaged("INSERT INTO trees VALUES (?, ?)", digest, body) as store, pytest.raises(StoreDamaged):
        store.trees.load(digest)


def test_a_sandbox_that_answers_nonsense_is_a_failure_and_no_bug():
    assert issubclass(BadMessage, SandboxFailure)


def test_an_author_does_not_say_when_he_wrote():
    said = f"{'0' * 40} 1 1 1\nauthor Ada\u2028author-time x\nauthor-time 1700000000\nsummary a\x85author Eve\n"
    author = author_of(said.encode())
    assert author is not None
    assert (author.name, author.time) == ("Ada\u2028author-time x", 1700000000)


@pytest.mark.parametrize("name", ["../outside", "/outside", "link/outside", "a/../../outside"])
def test_a_lock_on_record_is_written_where_it_lay(tmp_path, name):
    from envbuild.build.source_tree import SourcesLeadOut, check_out

    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("somebody's")
    with Store.open(str(tmp_path / "store")) as store:
        root = tree.Entry(tree.ROOT_NAME, tree.DIRECTORY, 0o755, 0, 0, 0)
        digest = store.trees.save([root, tree.Entry(b"link", tree.LINK, 0o777, 0, 0, 0, target=b"..")])
        with pytest.raises(SourcesLeadOut):
            check_out(store, {"tree": digest, "locks": {name: "version: 1"}}, str(folder))
    assert (tmp_path / "outside").read_text() == "somebody's"


@pytest.mark.namespaces
def test_a_reference_with_a_number_without_end_is_told(project):
    assert project.build("label a=b").code == 0
    for which in ("9" * 5000, "٣", "1" * 18, "0x1", "-1", "9" * 400 + " days ago"):
        for words in (
            ("ls", f"web@{{{which}}}"),
            ("rollback", "web", "--to", f"@{{{which}}}"),
            ("diff", f"web@{{{which}}}", "web"),
        ):
            done = project.command(*words)
            assert done.code in (1, 2), (words[0], which[:20], done)


@pytest.mark.namespaces
def test_a_value_that_makes_no_sense_is_told(project):
    assert project.build("label a=b").code == 0
    for option, values in (
        ("--cpus", ("nan", "inf", "1e400", "9" * 5000, "-1", "x")),
        ("--hostname", ("٣", "a\nb", "-x", "a" * 300, "a/b")),
        ("--memory", ("9" * 5000, "1e400", "٣", "nan", "9" * 40 + "kB")),
        ("--pids", ("9" * 5000, "٣x", "-1")),
        ("--tmpfs", ("/x:" + "9" * 5000, "x", "/x:nan")),
        ("--restart", ("on-failure:" + "9" * 5000, "on-failure:٣x", "often")),
    ):
        for value in values:
            done = project.command("run", option, value, "web", "--", "true")
            assert done.code == 2, (option, value[:20], done)

"""What is state beside files: each kind, read from the files of a root that nothing of is run."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state import kernel, login, ports
from envbuild.capture.state.collector import Machine, collect
from tests.capture.state.conftest import Files

STATUS = """\
Package: jq
Status: install ok installed
Architecture: amd64
Version: 1.6-2.1

Package: libjq1
Status: hold ok installed
Architecture: amd64
Version: 1.6-2.1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2025b

Package: nano
Status: deinstall ok config-files
Architecture: amd64
Version: 7.2-1

Package: gone
Status: purge ok not-installed
Architecture: amd64
"""
EXTENDED = """\
Package: libjq1
Architecture: amd64
Auto-Installed: 1

Package: tzdata
Architecture: amd64
Auto-Installed: 1
"""


def test_a_machine_without_anything_has_no_state(files: Files):
    collected = files.collected()
    assert (collected.state, collected.passing, collected.failed) == ({}, {}, ())


def test_packages_say_who_asked_for_them_and_what_is_held(files: Files):
    files.write("var/lib/dpkg/status", STATUS)
    files.write("var/lib/apt/extended_states", EXTENDED)
    assert files.lines("packages") == [
        "jq\tamd64\t1.6-2.1\tby hand",
        "libjq1\tamd64\t1.6-2.1\tpulled in\thold",
        "nano\tamd64\t7.2-1\tby hand\tdeinstall config-files",
        "tzdata\tall\t2025b\tpulled in",
    ]


def test_alternatives_diversions_and_overrides(files: Files):
    files.link("etc/alternatives/vi", "/usr/bin/vim.tiny")
    files.link("etc/alternatives/vi.1.gz", "/usr/share/man/man1/vim.1.gz")
    files.write("var/lib/dpkg/alternatives/vi", "manual\n/usr/bin/vi\n\n/usr/bin/vim.tiny\n15\n\n")
    files.write("var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/bin/ls\n/bin/ls.real\n:\n")
    files.write("var/lib/dpkg/statoverride", "root mail 2755 /usr/bin/a b\n")
    assert files.lines("alternatives") == ["vi\t/usr/bin/vim.tiny\tmanual", "vi.1.gz\t/usr/share/man/man1/vim.1.gz"]
    assert files.lines("diversions") == ["/bin/ls\t/bin/ls.real\tby hand", "/bin/sh\t/bin/sh.distrib\tdash"]
    assert files.lines("owner-overrides") == ["/usr/bin/a b\troot\tmail\t2755"]


def test_users_say_that_there_is_a_password_and_never_its_hash(files: Files):
    files.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\na:x:1000:1000::/home/a:/bin/sh\nb:x:2:2:::\nc:x:3:3:::\n")
    files.write("etc/shadow", "root:*:1::::::\na:$y$HASH:1::::::\nb::1::::::\n")
    files.write("etc/group", "b:x:2:z,a\n")
    assert files.lines("users") == [
        "a\t1000\t1000\t/home/a\t/bin/sh\tpassword\t",
        "b\t2\t2\t\t\tno password\t",
        "c\t3\t3\t\t\tunknown\t",
        "root\t0\t0\t/root\t/bin/sh\tlocked\troot",
    ]
    assert files.lines("groups") == ["b\t2\ta,z"]
    assert "HASH" not in str(files.collected())


def test_units_that_were_set_up_are_told_without_systemd(files: Files):
    own = "etc/systemd/system"
    files.link(f"{own}/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
    files.link(f"{own}/sshd.service", "/lib/systemd/system/ssh.service")
    files.link(f"{own}/apt-daily.service", "/dev/null")
    files.link(f"{own}/tool.service", "/opt/tool/tool.service")
    files.write(f"{own}/mine.service", "[Service]\nExecStart=/bin/true\n")
    files.write(f"{own}/ssh.service.d/limits.conf", "[Service]\n")
    files.link("etc/systemd/user/default.target.wants/agent.service", "/usr/lib/systemd/user/agent.service")
    files.link("etc/rc2.d/S01old", "../init.d/old")
    files.link("etc/rc2.d/S01ssh", "../init.d/ssh")
    files.link("etc/rc3.d/S01old", "../init.d/old")
    files.link("etc/rc3.d/K01never", "../init.d/never")
    files.write("usr/lib/systemd/system/ssh.service")
    assert files.lines("units") == [
        "rc\told\tenabled\tlevels 23",
        "system\tapt-daily.service\tmasked\t",
        "system\tmine.service\tfile\t/etc/systemd/system/mine.service",
        "system\tssh.service\talias\tsshd.service",
        "system\tssh.service\tdrop-in\tlimits.conf",
        "system\tssh.service\tenabled\tmulti-user.target.wants",
        "system\ttool.service\tlinked\t/opt/tool/tool.service",
        "user\tagent.service\tenabled\tdefault.target.wants",
    ]


def test_timers_say_when_also_as_changed_by_a_drop_in(files: Files):
    files.link("etc/systemd/system/timers.target.wants/backup.timer", "/usr/lib/systemd/system/backup.timer")
    files.link("etc/systemd/system/timers.target.wants/gone.timer", "/usr/lib/systemd/system/gone.timer")
    files.write("usr/lib/systemd/system/backup.timer", "[Timer]\nOnCalendar=daily\nOnBootSec=5min\n")
    files.write(
        "etc/systemd/system/backup.timer.d/when.conf", "[Timer]\nOnCalendar=\nOnCalendar=Mon 04:00\nUnit=b.service\n"
    )
    assert files.lines("timers") == [
        "system\tbackup.timer\tb.service\tOnBootSec=5min; OnCalendar=Mon 04:00",
        "system\tgone.timer\tgone.service\t",
    ]


def test_crontabs_of_all_kinds(files: Files):
    files.write("etc/crontab", "SHELL=/bin/sh\n# m h\n17 *\t* * *\troot\tcd / && run-parts a\n")
    files.write("etc/cron.d/job", "@daily www-data /usr/bin/php x\nbroken line\n")
    files.write("etc/cron.d/job.dpkg-old", "@daily root never\n")
    files.write("var/spool/cron/crontabs/anna", "*/5 * * * * /home/anna/poll\n")
    files.write("etc/cron.weekly/tidy", "#!/bin/sh\n")
    files.write("etc/anacrontab", "START_HOURS_RANGE=3-22\n7 10 cron.weekly run-parts /etc/cron.weekly\n")
    assert files.lines("crontabs") == [
        "anna\t*/5 * * * *\t/home/anna/poll\t/var/spool/cron/crontabs/anna",
        "root\t17 * * * *\tcd / && run-parts a\t/etc/crontab",
        "root\tevery 7 days after 10 minutes\trun-parts /etc/cron.weekly\t/etc/anacrontab",
        "root\tweekly\t/etc/cron.weekly/tidy\t/etc/cron.weekly",
        "www-data\t@daily\t/usr/bin/php x\t/etc/cron.d/job",
    ]


def test_languages_of_settings_lists_directories_and_the_archive(files: Files):
    files.write("etc/default/locale", 'LANG="de_DE.UTF-8"\n')
    files.write("etc/locale.gen", "# en_GB UTF-8\nde_DE.UTF-8 UTF-8\n")
    files.write("usr/lib/locale/C.utf8/LC_CTYPE")
    names = [b"de_DE.utf8\0", b"removed\0"]
    table = 64
    strings = table + 3 * 12
    header = struct.pack("=16I", 0xDE020109, 1, table, 1, 3, *[0] * 11)
    rows = struct.pack("=9I", 7, strings, 999, 8, strings + len(names[0]), 0, 0, 0, 0)
    files.write("usr/lib/locale/locale-archive", os.fsdecode(header + rows + b"".join(names)))
    assert files.lines("locale") == [
        "generated\tde_DE.UTF-8 UTF-8",
        "set\tLANG\tde_DE.UTF-8\t/etc/default/locale",
        "there\tC.utf8",
        "there\tde_DE.utf8",
    ]


@pytest.mark.parametrize("content", [b"", b"x" * 64, struct.pack("=16I", 0xDE020109, 1, 2**31, 5000, 20000, *[0] * 11)])
def test_an_archive_of_languages_that_is_none_does_no_harm(files: Files, content: bytes):
    files.write("usr/lib/locale/locale-archive", os.fsdecode(content))
    assert files.lines("locale") == []


def test_the_time_zone_is_the_name_that_the_link_has(files: Files):
    files.link("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
    files.write("etc/timezone", "Europe/Paris\n")
    files.write("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
    assert files.lines("time-zone") == ["hardware clock\tLOCAL", "localtime\tEurope/Berlin", "timezone\tEurope/Paris"]


def test_python_of_each_environment_that_was_seen(files: Files):
    site, distribution = "opt/app/venv/lib/python3.11/site-packages", "usr/lib/python3/dist-packages"
    files.folders = (site.encode(), distribution.encode(), b"usr/lib/node_modules")
    files.write("usr/bin/python3.11")
    files.write("opt/app/venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n")
    files.write(f"{site}/Flask_Login-0.6.3.dist-info/INSTALLER", "pip\n")
    files.write(f"{site}/Flask_Login-0.6.3.dist-info/REQUESTED")
    files.write(f"{site}/idna-3.7.dist-info/INSTALLER", "pip\n")
    files.write(f"{distribution}/PyYAML-6.0.egg-info/PKG-INFO")
    files.write(f"{distribution}/six-1.16.0-py3.11.egg-info")
    assert files.lines("python") == [
        f"{site}\t(environment)\t3.11.2\t/usr/bin\t",
        f"{site}\tflask-login\t0.6.3\tpip\tby hand",
        f"{site}\tidna\t3.7\tpip",
        "usr/bin\t(interpreter)\tpython3.11",
        f"{distribution}\tpyyaml\t6.0\t",
        f"{distribution}\tsix\t1.16.0\t",
    ]


def test_node_of_the_whole_machine_and_not_of_projects(files: Files):
    files.folders = (b"usr/local/lib/node_modules", b"srv/app/node_modules")
    files.write("usr/local/lib/node_modules/pnpm/package.json", '{"version": "9.1.0"}')
    files.write("usr/local/lib/node_modules/@scope/tool/package.json", '{"version": ["x"]}')
    files.write("usr/local/lib/node_modules/broken/package.json", "{" * 100)
    files.write("srv/app/node_modules/left-pad/package.json", '{"version": "1.3.0"}')
    files.write("srv/tool/package.json", '{"version": "0.1.0"}')
    files.link("usr/local/lib/node_modules/mine", "../../../../srv/tool")
    assert files.lines("node") == [
        "usr/local/lib/node_modules\t@scope/tool\t",
        "usr/local/lib/node_modules\tbroken\t",
        "usr/local/lib/node_modules\tmine\t\t../../../../srv/tool",
        "usr/local/lib/node_modules\tpnpm\t9.1.0",
    ]


def test_snaps_and_flatpaks(files: Files):
    files.link("snap/hello/current", "42")
    files.write("snap/hello/42/meta/snap.yaml", "name: hello\nversion: '2.10'\n")
    files.write("var/lib/snapd/state.json", '{"data": {"snaps": {"hello": {"channel": "latest/stable"}}}}')
    files.link("var/lib/flatpak/app/org.gimp.GIMP/x86_64/stable/active", "abc")
    assert files.lines("snap") == ["hello\t42\t2.10\tlatest/stable"]
    assert files.lines("flatpak") == ["app\torg.gimp.GIMP\tx86_64\tstable\tabc"]


def test_the_files_of_logins(files: Files):
    files.write("etc/login.defs", "UMASK\t\t027\n#ENV_PATH x\nPASS_MAX_DAYS 99999\n")
    files.write("etc/environment", 'export EDITOR=vi\n# X=1\nPATH="/usr/bin"\n')
    assert files.lines("login-environment") == [
        "set\tEDITOR\tvi\t/etc/environment",
        'set\tPATH\t"/usr/bin"\t/etc/environment',
        "set\tUMASK\t027\t/etc/login.defs",
    ]


def test_the_login_shell_of_this_machine_has_a_path_and_nothing_of_a_home(monkeypatch: pytest.MonkeyPatch):
    with MachineRoot("/") as root:
        rows = [row for row in login.environment(root) if row[0] == "got"]
        assert "PATH" in [name for _, name, *_ in rows]
        assert "HOME" not in [name for _, name, *_ in rows]
        # Whatever of it goes on, the capture does.
        monkeypatch.setattr(login, "SECONDS", 0.0)
        assert "got" not in [row[0] for row in login.environment(root)]


def test_links_that_lead_out_of_a_root_lead_to_the_root_itself(files: Files, tmp_path):
    (tmp_path / "outside").write_text("root:x:0:0:::\n")
    files.link("etc/passwd", str(tmp_path / "outside"))
    files.link("etc/group", "../../outside")
    os.mkfifo(files.path / "etc/shadow")
    assert files.collected().state == {}


def test_links_where_users_may_write_are_not_followed_to_what_they_may_not_read(files: Files):
    site = "home/eve/venv/lib/python3.11/site-packages"
    files.folders = (site.encode(), b"home/eve/lib/node_modules")
    files.write("etc/secret", "version = HASH\n")
    files.write("etc/package.json", '{"version": "HASH"}')
    files.link(f"{site}/a-1.0.dist-info/INSTALLER", "/etc/secret")
    files.link("home/eve/venv/pyvenv.cfg", "/etc/secret")
    files.link("home/eve/lib/node_modules/a/package.json", "/etc/package.json")
    files.link("home/eve/lib/node_modules/b", "/etc")
    files.link("var/spool/cron/crontabs/eve", "/etc/secret")
    collected = files.collected()
    assert "HASH" not in str(collected)
    assert collected.state["python"] == f"{site}\ta\t1.0\t\n"
    assert collected.state["node"] == "home/eve/lib/node_modules\tb\t\t/etc\n"


def test_names_and_texts_of_any_bytes_are_one_line(files: Files):
    files.write("var/spool/cron/crontabs/a\tb\n\udcff", "* * * * * echo \x1b[2J\r\n")
    assert files.lines("crontabs") == [
        r"a\x09b\x0a\xff" + "\t* * * * *\techo \\x1b[2J\t" + r"/var/spool/cron/crontabs/a\x09b\x0a\xff"
    ]


def test_what_fails_is_said_and_takes_nothing_else_with_it(files: Files, monkeypatch: pytest.MonkeyPatch):
    files.write("etc/timezone", "Etc/UTC\n")
    files.write("etc/cron.daily/a")
    files.write("etc/cron.daily/b")
    monkeypatch.setattr("envbuild.capture.state.collector.MAX_ROWS", 1)
    collected = files.collected()
    assert collected.state["crontabs"].count("\n") == 1
    assert [row.path for row in collected.failed] == [b"var/lib/envbuild/capture/state/crontabs"]
    assert "time-zone" in collected.state


def test_settings_of_the_kernel_that_are_not_as_the_files_say(files: Files):
    files.write("usr/lib/sysctl.d/10-a.conf", "net.ipv4.ip_forward = 0\nvm/swappiness=60\nnet.ipv4.conf.all.x = 1\n")
    files.write("etc/sysctl.d/10-a.conf", "-vm.swappiness = 10\n; x = 2\n../../etc/passwd = 1\nkernel.domainname=a b\n")
    files.write("etc/sysctl.conf", "kernel.domainname=a  c\n")
    files.write("proc/sys/vm/swappiness", "60\n")
    files.write("proc/sys/kernel/domainname", "a\tc\n")
    with MachineRoot(str(files.path)) as root:
        assert list(kernel.changed_settings(root)) == [("vm.swappiness", "60", "10", "/etc/sysctl.d/10-a.conf")]


def test_mounts_that_somebody_set_up(files: Files):
    rows = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro",
        "23 22 0:21 / /proc rw - proc proc rw",
        "24 22 0:22 / /run/user/1000 rw - tmpfs tmpfs rw",
        r"25 22 8:1 /srv /mnt/my\040data ro - ext4 /dev/sda1 rw",
        "nonsense",
    )
    files.write("proc/self/mountinfo", "\n".join(rows))
    with MachineRoot(str(files.path)) as root:
        assert list(kernel.mounts(root)) == [
            ("/", "ext4", "/dev/sda1", "rw,relatime"),
            ("/mnt/my data", "ext4", "/dev/sda1[/srv]", "ro"),
        ]


def test_this_machine_has_a_kernel_and_says_which_program_listens(unused_tcp_port_socket: socket.socket):
    port = unused_tcp_port_socket.getsockname()[1]
    with MachineRoot("/") as root:
        collected = collect(Machine(root))
        rows = [row for row in ports.listening(root) if row[2] == str(port)]
    assert f"release\t{os.uname().release}" in collected.state["kernel"].splitlines()
    assert "kernel.ostype\tLinux" in collected.passing["sysctl"].splitlines()
    assert "kernel.random.uuid" not in collected.passing["sysctl"]
    assert rows == [("tcp", "127.0.0.1", str(port), os.readlink("/proc/self/exe"))]


@pytest.fixture
def unused_tcp_port_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server

"""Which devices of this machine a step may be given. That it can use them is tried in
tests/end_to_end/test_user_grants.py."""

import os
import stat

import pytest

from envbuild.build import devices
from envbuild.build.devices import DeviceNotAllowed, DeviceUnusable, check_device


def reason(device: str) -> str:
    with pytest.raises(DeviceUnusable) as caught:
        check_device(device, (device,))
    return caught.value.reason


def test_devices_that_every_sandbox_has_need_no_leave():
    for name in ("null", "zero", "full", "random", "urandom"):
        check_device(f"/dev/{name}", ())


def test_all_others_need_it_by_their_own_name():
    for allowed in ((), ("/dev",), ("/dev/",), ("/dev/fuse2", "/dev/fus")):
        with pytest.raises(DeviceNotAllowed):
            check_device("/dev/fuse", allowed)


def test_terminals_and_what_is_no_device_are_refused():
    assert reason("/dev/ptmx") == "it is a terminal"
    assert reason("/dev/shm") == "it is not a device"
    assert reason("/dev/nothing-of-that-name") == "No such file or directory"
    assert reason("/dev/fd") == f"it leads to /proc/{os.getpid()}/fd"


@pytest.mark.parametrize(
    ("kind", "major", "minor", "refused"),
    [
        (stat.S_IFCHR, 1, 1, True),  # mem
        (stat.S_IFCHR, 1, 4, True),  # port
        (stat.S_IFCHR, 1, 11, True),  # kmsg
        (stat.S_IFCHR, 4, 64, True),  # ttyS0
        (stat.S_IFCHR, 5, 1, True),  # console
        (stat.S_IFCHR, 136, 0, True),  # pts/0
        (stat.S_IFCHR, 13, 64, True),  # input/event0
        (stat.S_IFCHR, 21, 0, True),  # sg0
        (stat.S_IFCHR, 202, 0, True),  # cpu/0/msr
        (stat.S_IFCHR, 10, 229, False),  # fuse
        (stat.S_IFCHR, 10, 200, False),  # net/tun
        (stat.S_IFBLK, 1, 1, False),  # ram1
        (stat.S_IFBLK, 7, 0, False),  # loop0
    ],
)
def test_what_has_the_machine_in_it_is_refused_by_its_number(kind, major, minor, refused):
    status = os.stat_result((kind | 0o600, *([0] * 9)), {"st_rdev": os.makedev(major, minor)})
    assert bool(devices._refusal(status)) == refused


@pytest.mark.user
@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_what_the_user_may_not_open_is_refused():
    for device in ("/dev/fuse", "/dev/net/tun", "/dev/loop-control"):
        if os.path.exists(device) and not os.access(device, os.R_OK | os.W_OK):
            assert reason(device) == "you may not read and write it yourself"


def test_a_right_that_only_a_group_gives_is_seen(tmp_path):
    path = tmp_path / "device"
    path.touch()
    path.chmod(0o660)
    status = path.stat()
    mine = os.stat_result((*status[:4], status.st_uid, *status[5:]))
    others = os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))
    for_all = os.stat_result((status.st_mode | 0o006, *others[1:]))
    assert [devices._is_by_group(str(path), metadata) for metadata in (mine, others, for_all)] == [False, True, False]

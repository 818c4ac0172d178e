"""The filter's program, without a kernel: one verdict for each call."""

import errno
import struct

import pytest

from envbuild.sandbox import seccomp

pytestmark = pytest.mark.user

ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def verdict(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """What classic BPF decides on struct seccomp_data."""
    data = struct.pack("=iIQ", number, arch, 0) + b"".join(struct.pack("=Q", a) for a in (*arguments, *[0] * 6)[:6])
    rules = [struct.unpack("=HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    at = loaded = 0
    while True:
        code, yes, no, value = rules[at]
        at += 1
        if code == 0x20:
            loaded = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return value
        else:
            held = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += yes if held else no


@pytest.mark.parametrize("machine", sorted(seccomp.AUDIT_ARCH))
def test_the_list_is_refused_and_the_rest_allowed(machine):
    program = seccomp.filter_program(pretend_ownership=False, machine=machine)
    arch = seccomp.AUDIT_ARCH[machine]
    for name, number in seccomp.REFUSED[machine].items():
        assert verdict(program, number, arch) == ERRNO | errno.EPERM, name
    for number in seccomp.OWNERSHIP[machine].values():
        assert verdict(program, number, arch) == ALLOW
    special = seccomp.SPECIAL[machine]
    assert verdict(program, special["clone"], arch, 17) == ALLOW
    assert verdict(program, special["clone"], arch, 0x10000000 | 17) == ERRNO | errno.EPERM
    assert verdict(program, special["clone3"], arch) == ERRNO | errno.ENOSYS
    assert verdict(program, special["ioctl"], arch, 0, 0x5413) == ALLOW
    assert verdict(program, special["ioctl"], arch, 0, 0x5412) == ERRNO | errno.EPERM
    assert verdict(program, special["personality"], arch, 0) == ALLOW
    assert verdict(program, special["personality"], arch, 0x0040000) == ERRNO | errno.EPERM


def test_calls_of_other_architectures_do_not_exist():
    program = seccomp.filter_program(pretend_ownership=False, machine="x86_64")
    assert verdict(program, 4, 0x40000003) == ERRNO | errno.ENOSYS
    assert verdict(program, 0x40000000 + 1, seccomp.AUDIT_ARCH["x86_64"]) == ERRNO | errno.ENOSYS


def test_a_single_id_answers_success_to_changes_of_owner():
    program = seccomp.filter_program(pretend_ownership=True, machine="x86_64")
    for number in seccomp.OWNERSHIP["x86_64"].values():
        assert verdict(program, number, seccomp.AUDIT_ARCH["x86_64"]) == ERRNO


@pytest.mark.parametrize("machine", sorted(seccomp.AUDIT_ARCH))
@pytest.mark.parametrize("pretend", [False, True])
def test_every_number_gets_the_verdict_of_the_lists(machine, pretend):
    program = seccomp.filter_program(pretend_ownership=pretend, machine=machine)
    arch, special = seccomp.AUDIT_ARCH[machine], seccomp.SPECIAL[machine]
    refused = set(seccomp.REFUSED[machine].values())
    answered = set(seccomp.OWNERSHIP[machine].values()) if pretend else set()
    wanted = dict.fromkeys(refused, ERRNO | errno.EPERM) | dict.fromkeys(answered, ERRNO)
    wanted |= {special["clone3"]: ERRNO | errno.ENOSYS, special["personality"]: ERRNO | errno.EPERM}
    odd = 0x0040000  # no flag of a namespace, no request of ioctl that is refused, no personality that is allowed
    for number in range(1200):
        assert verdict(program, number, arch, odd, odd) == wanted.get(number, ALLOW), number
    for request in range(0x5400, 0x5430):
        refuses = request in (seccomp.TIOCSTI, seccomp.TIOCLINUX)
        assert verdict(program, special["ioctl"], arch, 0, request) == (ERRNO | errno.EPERM if refuses else ALLOW)
    assert verdict(program, special["fcntl"], arch, 0, seccomp.F_SETLEASE) == ERRNO | errno.EPERM
    for personality in seccomp.PERSONALITIES:
        assert verdict(program, special["personality"], arch, personality) == ALLOW
    for bit in range(32):
        refuses = bool(1 << bit & seccomp.NAMESPACE_FLAGS)
        assert verdict(program, special["clone"], arch, 1 << bit) == (ERRNO | errno.EPERM if refuses else ALLOW)


def test_an_allowed_number_takes_few_comparisons():
    """Where the kernel remembers none, each call goes through the program."""
    program = seccomp.filter_program(pretend_ownership=True, machine="x86_64")
    rules = [struct.unpack("=HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    for number in range(500):
        at, steps = 4, 0
        while rules[at][0] in (0x15, 0x35):
            code, yes, no, value = rules[at]
            at += 1 + (yes if (number == value if code == 0x15 else number >= value) else no)
            steps += 1
        assert steps <= 10

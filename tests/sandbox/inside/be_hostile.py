"""Does what would keep a tracer from knowing what is read, and prints what came of it."""

import ctypes
import json
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
what = sys.argv[1]
numbers = json.loads(sys.argv[2])


def call(name, *arguments):
    libc.syscall(ctypes.c_long(numbers[name]), *[*arguments, *[ctypes.c_long(0)] * 6][:6])
    return ctypes.get_errno()


if what == "io_uring":
    print(call("io_uring_setup", ctypes.c_long(8), ctypes.create_string_buffer(256)))
elif what == "ptrace":
    print(call("ptrace", ctypes.c_long(0)))
elif what == "writev":
    print(call("process_vm_writev", ctypes.c_long(os.getpid())))
elif what == "mem":
    os.close(os.open("/proc/self/mem", os.O_RDWR))
elif what == "root":
    os.stat("/proc/self/root/etc/passwd")
elif what == "cwd":
    os.chdir("/etc")
    os.stat("/proc/self/cwd/passwd")
elif what == "fd":
    held = os.open("/etc", os.O_PATH)
    os.stat(f"/proc/self/fd/{held}/passwd")
elif what == "listener":
    # A filter of its own that would take the calls before the tracer: seccomp(2) with a second listener.
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    program = ctypes.create_string_buffer(bytes.fromhex("0600000000 00c07f".replace(" ", "")))
    described = ctypes.create_string_buffer((1).to_bytes(8, "little") + ctypes.addressof(program).to_bytes(8, "little"))
    print(call("seccomp", ctypes.c_long(1), ctypes.c_long(8), described))
elif what == "pointers":
    for address in (1, 1 << 46, (1 << 64) - 8):
        print(call("openat", ctypes.c_long(-100), ctypes.c_ulong(address)))
elif what == "long":
    os.makedirs("/deep", exist_ok=True)
    for name in ("n" * 300, "n" * 5000, "/".join(["d" * 200] * 30)):
        try:
            os.stat(f"/deep/{name}")
        except OSError as error:
            print(error.errno)

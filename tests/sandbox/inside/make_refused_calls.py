"""Asks for namespaces, terminal input, other personalities and leases in all their forms, and prints each errno."""

import ctypes
import json
import os

libc = ctypes.CDLL(None, use_errno=True)


def call(*a):
    ctypes.set_errno(0)
    value = libc.syscall(*[ctypes.c_long(x) for x in a])
    if value == 0 and a[0] == 56:
        os._exit(0)
    return ctypes.get_errno()


print(
    json.dumps(
        [
            call(56, 0x10000000 | 17, 0, 0, 0, 0),
            call(435, 0, 0),
            call(16, 0, 0x5412, 0),
            call(16, 0, 0x100005412, 0),
            call(0x40000000 + 39),
            call(135, 0x0400000),
            call(72, 0, 1024, 0),
            call(72, 0, 0x100000400, 0),
        ]
    )
)

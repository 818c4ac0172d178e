"""Opens a path again and again that another process, which shares the memory, changes all the while."""

import ctypes
import mmap
import os
import threading

libc = ctypes.CDLL(None)
PATHS = b"/etc/app/conf", b"/etc/app/none"
shared = mmap.mmap(-1, mmap.PAGESIZE)
shared[:14] = PATHS[0] + b"\0"
thread = threading.Thread(target=str)
thread.start()
thread.join()
child = os.fork()
if child == 0:
    while True:
        shared[:13] = PATHS[1]
        shared[:13] = PATHS[0]
path = ctypes.addressof(ctypes.c_char.from_buffer(shared))
for _ in range(1000):
    opened = libc.open(ctypes.c_void_p(path), os.O_RDONLY)
    if opened >= 0:
        os.close(opened)
os.kill(child, 9)
os.waitpid(child, 0)

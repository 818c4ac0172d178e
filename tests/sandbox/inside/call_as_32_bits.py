"""Makes a system call as a program of 32 bits does, and prints its answer or that it was killed."""

import ctypes
import json
import mmap
import os

# mov eax, 20 (getpid of the 32-bit table); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    os.write(writing, str(function()).encode())
    os._exit(0)
os.close(writing)
_, status = os.waitpid(child, 0)
print(json.dumps([os.read(reading, 99).decode(), os.WIFSIGNALED(status)]))

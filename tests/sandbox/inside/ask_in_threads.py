"""Reads a file in each of some threads, by paths from the working directory, which they change in turns."""

import os
import threading

turn = threading.Lock()


def read(number):
    with turn:
        os.chdir(f"/work/{number}")
        os.stat("file")
        folder = os.open(f"/work/{number}", os.O_PATH)
        os.stat("../other", dir_fd=folder)
        os.close(folder)


threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os.chdir("/")
pid = os.posix_spawn("/bin/cat", ["cat", "/etc/app/conf"], {})
os.waitpid(pid, 0)
if os.fork() == 0:
    os.chdir("/etc")
    os.stat("passwd")
    os._exit(0)
os.wait()
os.stat("none")

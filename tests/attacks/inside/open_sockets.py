"""Opens a socket of each family that reaches past a network namespace, and prints how each ended."""

import json
import socket

found = {}
for name, number in (("vsock", 40), ("xdp", 44), ("inet", 2), ("unix", 1), ("netlink", 16)):
    try:
        socket.socket(number, socket.SOCK_RAW if name in ("xdp", "netlink") else socket.SOCK_STREAM).close()
        found[name] = 0
    except OSError as error:
        found[name] = error.errno
print(json.dumps(found))

"""Opens a socket of each family that reaches past a network namespace, and prints how each ended."""

import json
import socket

results = {}
for name, number in (("vsock", 40), ("xdp", 44), ("inet", 2), ("unix", 1), ("netlink", 16)):
    try:
        socket.socket(number, socket.SOCK_RAW if name in ("xdp", "netlink") else socket.SOCK_STREAM).close()
        results[name] = 0
    except OSError as error:
        results[name] = error.errno
print(json.dumps(results))

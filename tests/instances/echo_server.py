"""A service inside an instance: echoes on the ports 80 and 81, on 86 of IPv6 alone, and datagrams on 53, in capitals.

It says with the file /ready that it listens, with /reset that a client broke a connection off. It goes on where it has
no descriptors left for another client.
"""

import socket
import threading
import time


def echo(link):
    with link:
        try:
            while data := link.recv(65536):
                link.sendall(data)
        except ConnectionResetError:
            open("/reset", "w").close()


def serve(listener):
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            time.sleep(0.05)
            continue
        threading.Thread(target=echo, args=(link,), daemon=True).start()


def answer(datagrams):
    while True:
        data, address = datagrams.recvfrom(65536)
        datagrams.sendto(data.upper(), address)


def main():
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", 53))
    threading.Thread(target=answer, args=(datagrams,), daemon=True).start()
    six = socket.create_server(("::1", 86), family=socket.AF_INET6)
    threading.Thread(target=serve, args=(six,), daemon=True).start()
    second = socket.create_server(("127.0.0.1", 81))
    threading.Thread(target=serve, args=(second,), daemon=True).start()
    first = socket.create_server(("0.0.0.0", 80), backlog=4096)
    open("/ready", "w").close()
    serve(first)


main()

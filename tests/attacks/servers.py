"""A server on loopback that answers as an attacker would; asked as a proxy, it plays any host of the world."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]


class Server:
    """Answers by path, or by whole address where it is the proxy: (status, headers, body)."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, headers, body = outer.replies.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked has had enough

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def serve(self, path: str, body: bytes, **headers: str) -> None:
        self.replies[path] = (200, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    def send_on(self, path: str, target: str) -> None:
        self.replies[path] = (302, {"Location": target}, b"")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

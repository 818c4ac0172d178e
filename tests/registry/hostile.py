"""A registry of the tests that does what it is told to: right or wrong in each part. It notes every request."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.registry.certificates import Authority
from tests.sharing.images import config, descriptor, digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Request:
    """What was asked: where, how, and what was shown."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.body = body

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


Answer = Callable[["Handler", Request], bool]
"""Answers a request, or returns False to leave it to the next one."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def say(self, status: int, content: bytes = b"", **headers: str) -> bool:
        """Sends an answer; names of headers have _ for -."""
        self.send_response(status)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(content)), **names}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.server.owner.sent += len(content)
            self.wfile.write(content)
        return True

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self, body)
        self.server.owner.requests.append(request)
        try:
            for answer in (*self.server.owner.rules, self.server.owner.usual):
                if answer(self, request):
                    return
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: Registry

    def handle_error(self, *_: object) -> None:
        pass


class Registry:
    """One that serves images from memory. `rules` come before what it does usually. `login` is USER:PASSWORD that it
    asks for, `tokens` the tokens that it takes."""

    def __init__(self, authority: Authority | None = None, address: str = "127.0.0.1", host: str = "localhost") -> None:
        self._server = Server((address, 0), Handler)
        self._server.owner = self
        self.scheme = "http"
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.certificate("localhost"))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self.host = f"{host}:{self._server.server_port}"
        self.requests: list[Request] = []
        self.sent = 0
        """Bytes of bodies that it sent by now."""
        self.rules: list[Answer] = []
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.host}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rule(self, method: str, path: str, answer: Callable[..., object], times: int = 1 << 30) -> None:
        """Answers requests whose path matches."""
        left = [times]

        def apply(handler: Handler, request: Request) -> bool:
            if not re.fullmatch(method, request.method) or not re.search(path, request.path) or not left[0]:
                return False
            left[0] -= 1
            answer(handler, request)
            return True

        self.rules.append(apply)

    def image(self, *layers: bytes, tag: str = "1", **changed: object) -> dict:
        """Adds an image of uncompressed layers, and returns its manifest; `changed` are other members of that."""
        settings = config(layers, Cmd=["/bin/sh"])
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(settings, CONFIG),
            "layers": [descriptor(content, LAYER) for content in layers],
            **changed,
        }
        self.blobs.update({digest(content): content for content in (settings, *layers)})
        self.put(tag, MANIFEST, json.dumps(manifest).encode())
        return manifest

    def put(self, tag: str, media_type: str, content: bytes) -> str:
        self.manifests[tag] = self.manifests[digest(content)] = media_type, content
        return digest(content)

    def usual(self, handler: Handler, request: Request) -> bool:
        path = urlsplit(request.path).path
        if path == "/v2/":
            return handler.say(200, b"{}")
        kind, _, name = path.rpartition("/")
        if kind.endswith("/manifests") and request.method in ("GET", "HEAD") and name in self.manifests:
            media_type, content = self.manifests[name]
            return handler.say(200, content, Content_Type=media_type, Docker_Content_Digest=digest(content))
        if kind.endswith("/blobs") and request.method in ("GET", "HEAD") and name in self.blobs:
            return self._blob(handler, request, self.blobs[name])
        if path.endswith("/blobs/uploads/") and request.method == "POST":
            return handler.say(202, Location="/v2/upload/1")
        if path == "/v2/upload/1" and request.method == "PUT":
            wanted = parse_qs(urlsplit(request.path).query)["digest"][0]
            if f"sha256:{sha256(request.body).hexdigest()}" != wanted:
                return handler.say(400)
            self.blobs[wanted] = request.body
            return handler.say(201)
        if kind.endswith("/manifests") and request.method == "PUT":
            self.put(name, request.headers.get("Content-Type", ""), request.body)
            return handler.say(201)
        return handler.say(404, b'{"errors": [{"code": "UNKNOWN", "message": "no such thing"}]}')

    @staticmethod
    def _blob(handler: Handler, request: Request, content: bytes) -> bool:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked is None:
            return handler.say(200, content)
        at, end = int(asked.group(1)), int(asked.group(2) or len(content) - 1) + 1
        if at >= len(content):
            return handler.say(416)
        part = content[at:end]
        return handler.say(206, part, Content_Range=f"bytes {at}-{at + len(part) - 1}/{len(content)}")

    def needs_login(self, user: str, password: str) -> None:
        """Lets in only who has this user and password."""
        wanted = basic(user, password)

        def refuse(handler: Handler, request: Request) -> bool:
            if request.authorization == wanted:
                return False
            return handler.say(401, WWW_Authenticate='Basic realm="tests"')

        self.rules.insert(0, refuse)

    def shown(self) -> list[str]:
        """Every Authorization header that came, once."""
        return sorted({request.authorization for request in self.requests if request.authorization})


class Tokens:
    """A token server: gives a token for what a user asks for, each good for `seconds`; and the registry that wants
    them."""

    def __init__(self, server: Registry, user: str = "", password: str = "", seconds: float = 300) -> None:
        self.server = server
        self.user, self.password, self.seconds = user, password, seconds
        self.given: dict[str, tuple[list[str], float]] = {}
        self.identity = "identity-of-the-user"
        server.rules.append(self._give)

    def _give(self, handler: Handler, request: Request) -> bool:
        parts = urlsplit(request.path)
        if parts.path != "/token":
            return False
        query = parse_qs(parts.query if request.method == "GET" else request.body.decode())
        if request.method == "POST":
            allowed = query.get("refresh_token") == [self.identity]
        else:
            allowed = not self.user or request.authorization == basic(self.user, self.password)
        if not allowed:
            return handler.say(401)
        token = f"token-{len(self.given)}"
        scopes = [scope for text in query.get("scope", []) for scope in text.split()]
        self.given[token] = scopes, time.monotonic() + self.seconds
        member = "access_token" if request.method == "POST" else "token"
        return handler.say(200, json.dumps({member: token, "expires_in": int(self.seconds) + 11}).encode())

    def guard(self, registry: Registry, realm: str = "") -> None:
        """Has a registry take these tokens alone, for what they were given for."""

        def check(handler: Handler, request: Request) -> bool:
            token = request.authorization.removeprefix("Bearer ")
            scopes, end = self.given.get(token, ([], 0.0))
            path = urlsplit(request.path).path
            repository = re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", path)
            right = "pull" if request.method in ("GET", "HEAD") else "push"
            fits = repository is None or any(
                scope.startswith(f"repository:{repository.group(1)}:") and right in scope.rpartition(":")[2].split(",")
                for scope in scopes
            )
            if path == "/token" or (token in self.given and time.monotonic() < end and fits):
                return False
            address = realm or f"{self.server.address}/token"
            return handler.say(401, WWW_Authenticate=f'Bearer realm="{address}",service="tests",scope="x:y:z"')

        registry.rules.insert(0, check)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def log_in(folder: Path, host: str, user: str, password: str) -> None:
    """Writes docker's file, as docker does."""
    path = folder / ".docker/config.json"
    path.parent.mkdir(exist_ok=True)
    plain = json.loads(path.read_text()) if path.exists() else {"auths": {}}
    plain["auths"][host] = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    path.write_text(json.dumps(plain))

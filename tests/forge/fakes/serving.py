"""HTTP on 127.0.0.1 for the stand-ins: what was asked is kept, and faults are answered on demand."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time of the machine, in whole seconds as forges give it."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes

    @cached_property
    def path(self) -> str:
        """The path as sent: quoted, so that a slash within a name stays apart from one between names."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> Mapping[str, str]:
        """Parameters of the query; values of repeated ones (``labels[]``) are joined by commas."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(self.target).query, keep_blank_values=True):
            found.setdefault(name.removesuffix("[]"), []).append(value)
        return {name: ",".join(values) for name, values in found.items()}

    @cached_property
    def document(self) -> Any:
        """The JSON that was sent, if any."""
        return json.loads(self.content) if self.content else None

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True)
class Answer:
    """What a request is answered with: bytes as they are, anything else as JSON."""

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def content(self) -> bytes:
        if isinstance(self.document, bytes):
            return self.document
        return b"" if self.status == 204 else json.dumps(self.document).encode()


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass
class Fault:
    """Requests that go wrong, a number of times.

    ``status`` is None for a connection that is closed without any answer. A request that is ``done`` takes effect all
    the same: only its answer is lost, as when a gateway gives up too early.
    """

    status: int | None
    times: int = 1
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = None
    done: bool = False
    seconds: float = 0.0

    def takes(self, request: Request) -> bool:
        """Whether the request goes wrong; one time less is left then."""
        if not self.times or self.method not in ("", request.method) or not re.search(self.path, request.target):
            return False
        self.times -= 1
        return True


class Server:
    """A server on a free port of 127.0.0.1; what a request means is up to ``answer`` of its subclasses."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.crashes: list[Exception] = []
        self._http: _HttpServer | None = None

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def failure(self, fault: Fault) -> Any:
        """The document of a fault that has none of its own."""
        return {"message": "Server Error"}

    @property
    def port(self) -> int:
        assert self._http is not None, "the server is not running"
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def writes(self) -> list[Request]:
        """Requests that were meant to change something."""
        return [request for request in self.requests if request.writes]

    def fail(self, status: int | None, **options: Any) -> Fault:
        """Let the next requests go wrong; the options are those of a fault."""
        fault = Fault(status, **options)
        with self.lock:
            self.faults.append(fault)
        return fault

    def throttle(self, status: int = 429, retry_after: int = 1, **options: Any) -> Fault:
        """Let the next requests be one too many."""
        headers = {"Retry-After": str(retry_after), **options.pop("headers", {})}
        return self.fail(status, headers=headers, **options)

    def handle(self, request: Request) -> Answer | None:
        """The answer, with its fault; nothing where the connection is to break."""
        with self.lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.takes(request)), None)
        if fault and fault.seconds:
            time.sleep(fault.seconds)
        if not fault or fault.done:
            answer = self._answered(request)
        if not fault:
            return answer
        if fault.status is None:
            return None
        document = self.failure(fault) if fault.document is None else fault.document
        return Answer(fault.status, document, fault.headers)

    def _answered(self, request: Request) -> Answer:
        try:
            return self.answer(request)
        except Refused as refused:
            return refused.answer
        except Exception as error:
            # Told to the test in full: to a client it would look like any other error of a server.
            self.crashes.append(error)
            return Answer(599, {"message": f"the stand-in broke: {error!r}"})

    def __enter__(self) -> Self:
        self._http = _HttpServer(self)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()
        if self.crashes:
            raise self.crashes[0]


class Relay(Server):
    """A server that stays while those it asks come and go, for what takes long to start and knows one address only."""

    target: Server | None = None

    def handle(self, request: Request) -> Answer | None:
        return self.target.handle(request) if self.target else Answer(502, {"message": "nobody is there"})


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: Server) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    # One request to a connection: none is left open when the server stops.
    protocol_version = "HTTP/1.0"
    server: _HttpServer

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self._content())
        self._send(self.server.owner.handle(request))

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, answer: Answer | None) -> None:
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        types = {} if isinstance(answer.document, bytes) else {"Content-Type": "application/json; charset=utf-8"}
        for name, value in {**types, **answer.headers, "Content-Length": str(len(answer.content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: requests are kept."""


Operation = Callable[..., Answer]


class Routes:
    """Which operation answers which method and path; names in braces are single segments, ``{name*}`` is the rest."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Operation]] = []

    def add(self, method: str, template: str) -> Callable[[Operation], Operation]:
        pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", template)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)

        def register(operation: Operation) -> Operation:
            self._routes.append((method, re.compile(pattern), operation))
            return operation

        return register

    def find(self, request: Request) -> tuple[Operation, dict[str, str]] | None:
        """The operation asked for and what its path names."""
        for method, pattern, operation in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return operation, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


@dataclass(frozen=True)
class Page:
    """A part of a list, and how to ask for the other parts."""

    items: Sequence[Any]
    number: int
    size: int
    total: int
    links: str

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.size))


def page_of(items: Sequence[Any], request: Request, base: str, usual: int) -> Page:
    """The part of a list that a request asks for."""
    size = min(max(int(request.query.get("per_page", usual)), 1), 100)
    number = max(int(request.query.get("page", 1)), 1)
    last = max(1, -(-len(items) // size))
    others = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
    wanted = [name for name in others if (number > 1 if name in ("prev", "first") else number < last)]
    links = [f'<{_link(request, base, others[name], size)}>; rel="{name}"' for name in wanted]
    return Page(items[(number - 1) * size : number * size], number, size, len(items), ", ".join(links))


def _link(request: Request, base: str, page: int, size: int) -> str:
    query = {**request.query, "page": str(page), "per_page": str(size)}
    return f"{base}{request.path}?{urlencode(query)}"


def instant(time: datetime) -> str:
    """A time as forges write it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

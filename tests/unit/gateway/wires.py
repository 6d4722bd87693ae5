"""HTTP on a raw socket: what a client of the gateway sends and gets, byte for byte."""

import socket
from urllib.parse import urlsplit

from raw_api import Answer, Received, Wire

from orchestrator.protocols import Upstream


def dial(upstream: Upstream) -> tuple[socket.socket, str]:
    """A connection to the gateway, and the path of its secret."""
    parts = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
    assert parts.hostname
    assert parts.port
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    return connection, parts.path


def exchange(upstream: Upstream, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """All bytes of the answer, until the gateway closes the connection."""
    connection, prefix = dial(upstream)
    lines = [f"{method} {prefix}{path} HTTP/1.1", "Host: gateway", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def unchunked(body: bytes) -> tuple[bytes, bool]:
    """The body of a chunked answer, and whether it came to its end."""
    found, ended = b"", False
    while body and not ended:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        found, body, ended = found + rest[:length], rest[length + 2 :], length == 0
    return found, ended


def answered(raw: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, headers and body as they came."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    return line, {name.lower(): value.strip() for name, _, value in (each.partition(b":") for each in rest)}, body


def fixed(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> Answer:
    """An answer with a length."""

    async def answer(request: Received, wire: Wire) -> None:
        head = b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)])
        await wire.say(head + b"\r\n\r\n" + body)

    return answer

"""TLS as an attacker speaks it: what came back, byte for byte, and which alert."""

import contextlib
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from machine import LOOPBACK

# The device gives a handshake, a head and a body ten seconds each, and then ends the connection, whoever stood still. No refusal takes that long.
STOOD_STILL_S = 8
TRIES = 3
REQUEST = b"GET /v1/info HTTP/1.1\r\nHost: device\r\nConnection: close\r\n\r\n"


@dataclass
class Answer:
    """How a connection went: application bytes that arrived, and the error that ended it, if one did."""

    application_bytes: bytes
    error: str

    @property
    def is_refused_by_alert(self) -> bool:
        return self.application_bytes == b"" and "alert" in self.error.lower()


def unless_it_stood_still(attempt, is_told):
    """What `attempt()` gives. Where it tells nothing because somebody stood still until the device's patience was over, it is made again."""
    for _ in range(TRIES - 1):
        began_s = time.monotonic()
        result = attempt()
        if is_told(result) or time.monotonic() - began_s < STOOD_STILL_S:
            return result
    return attempt()


def speak(port: int, *, certificate: Path | None = None, key: Path | None = None, maximum: ssl.TLSVersion | None = None) -> Answer:
    """Connects, sends one request, and reads until the end. The server is not verified: the attacker does not care."""
    return unless_it_stood_still(
        lambda: _speak(port, certificate, key, maximum), lambda answer: answer.application_bytes or "alert" in answer.error.lower()
    )


def _speak(port: int, certificate: Path | None, key: Path | None, maximum: ssl.TLSVersion | None) -> Answer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if maximum:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = maximum
        context.set_ciphers("ALL:@SECLEVEL=0")
    if certificate:
        context.load_cert_chain(certificate, key)
    received = b""
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=120) as plain,
            context.wrap_socket(plain, server_hostname="device") as tls,
        ):
            # Who was refused finds the connection closed where it comes late with its request: the alert lies there to be read all the same.
            with contextlib.suppress(OSError):
                tls.sendall(REQUEST)
            while chunk := tls.recv(65536):
                received += chunk
    except OSError as error:
        return Answer(received, f"{type(error).__name__}: {error}")
    return Answer(received, "")


@dataclass
class Reply:
    """What a request got: status 0 where there was no answer, and then why."""

    status: int
    body: bytes
    error: str = ""

    @property
    def json(self):
        return json.loads(self.body)


def is_whole(received: bytes, method: str) -> bool:
    """Whether that is an answer to its last byte."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"\r\nContent-Length: (\d+)", head, re.I)
    return method == "HEAD" or (length is not None and len(body) >= int(length[1]))


def ask(port: int, method: str, target: str, credentials: tuple[Path, Path] | None, body: bytes | None = None) -> Reply:
    """One request on a connection of its own, with a certificate and key or with none. The server is not verified."""
    return unless_it_stood_still(
        lambda: _ask(port, method, target, credentials, body), lambda answer: answer.status or "alert" in answer.error.lower()
    )


def _ask(port: int, method: str, target: str, credentials: tuple[Path, Path] | None, body: bytes | None) -> Reply:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if credentials:
        context.load_cert_chain(*credentials)
    head = f"{method} {target} HTTP/1.1\r\nHost: device\r\nConnection: close\r\nAccept: application/json, application/problem+json\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    received = b""
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=120) as plain,
            context.wrap_socket(plain, server_hostname="device") as tls,
        ):
            with contextlib.suppress(OSError):
                tls.sendall(head.encode() + b"\r\n" + (body or b""))
            # After a refusal the device keeps the connection for a moment: whoever has the whole answer need not wait.
            while not is_whole(received, method) and (chunk := tls.recv(65536)):
                received += chunk
    except OSError as error:
        if not received:
            return Reply(0, b"", f"{type(error).__name__}: {error}")
    start, _, content = received.partition(b"\r\n\r\n")
    return Reply(int(start.split(b" ", 2)[1]), content) if start else Reply(0, b"", "closed without an answer")


def speak_plaintext(port: int, data: bytes) -> bytes:
    """Sends bytes without TLS and returns all that comes back until the connection ends."""
    received = b""
    with socket.create_connection((LOOPBACK, port), timeout=120) as plain:
        plain.sendall(data)
        try:
            while chunk := plain.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received

"""TLS as an attacker speaks it: what came back, byte for byte, and which alert."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from machine import LOOPBACK

REQUEST = b"GET /v1/info HTTP/1.1\r\nHost: device\r\nConnection: close\r\n\r\n"


@dataclass
class Answer:
    """How a connection went: application bytes that arrived, and the error that ended it, if one did."""

    application_bytes: bytes
    error: str

    @property
    def is_refused_by_alert(self) -> bool:
        return self.application_bytes == b"" and "alert" in self.error.lower()


def speak(port: int, *, certificate: Path | None = None, key: Path | None = None, maximum: ssl.TLSVersion | None = None) -> Answer:
    """Connects, sends one request, and reads until the end. The server is not verified: the attacker does not care."""
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
            socket.create_connection((LOOPBACK, port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="device") as tls,
        ):
            tls.sendall(REQUEST)
            while chunk := tls.recv(65536):
                received += chunk
    except OSError as error:
        return Answer(received, f"{type(error).__name__}: {error}")
    return Answer(received, "")


def speak_plaintext(port: int, data: bytes) -> bytes:
    """Sends bytes without TLS and returns all that comes back until the connection ends."""
    received = b""
    with socket.create_connection((LOOPBACK, port), timeout=60) as plain:
        plain.sendall(data)
        try:
            while chunk := plain.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received

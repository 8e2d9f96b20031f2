"""The client's half of one TLS 1.3 handshake (RFC 8446), by hand: it shows whatever bytes it is given as its certificate.

A TLS library refuses to show a certificate that it cannot read, or whose key the server does not want. An attacker is not so kind, and without this
client such certificates would never reach the device's own judgement. One suite, one group: TLS_AES_128_GCM_SHA256 and X25519.
"""

import hashlib
import hmac
import os
import socket
from dataclasses import dataclass

from machine import LOOPBACK

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HANDSHAKE, ALERT, APPLICATION, CHANGE_CIPHER_SPEC = 22, 21, 23, 20
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter",
    48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 80: "internal_error", 116: "certificate_required",
}  # fmt: skip


@dataclass
class Outcome:
    """What came back: application bytes, and the alert by its name; `hung up` for an end without one."""

    application_bytes: bytes
    alert: str


def vector(data: bytes, length_bytes: int) -> bytes:
    return len(data).to_bytes(length_bytes, "big") + data


def expand(secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 section 7.1)."""
    info = length.to_bytes(2, "big") + vector(b"tls13 " + label.encode(), 1) + vector(context, 1)
    output, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(secret, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


def extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


class Direction:
    """The keys of one direction, and its count of records."""

    def __init__(self, secret: bytes):
        self.secret = secret
        self.cipher = AESGCM(expand(secret, "key", b"", 16))
        self.iv = expand(secret, "iv", b"", 12)
        self.count = 0

    def _nonce(self) -> bytes:
        nonce = (int.from_bytes(self.iv, "big") ^ self.count).to_bytes(12, "big")
        self.count += 1
        return nonce

    def seal(self, kind: int, content: bytes) -> bytes:
        inner = content + bytes([kind])
        head = bytes([APPLICATION, 3, 3]) + (len(inner) + 16).to_bytes(2, "big")
        return head + self.cipher.encrypt(self._nonce(), inner, head)

    def open(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        inner = self.cipher.decrypt(self._nonce(), body, head).rstrip(b"\0")
        return inner[-1], inner[:-1]


class Handshake:
    """One connection; `show` is the whole of its life."""

    def __init__(self, port: int, address: str = LOOPBACK):
        self.socket = socket.create_connection((address, port), timeout=120)
        self.transcript = b""
        self.reading: Direction | None = None
        self.pending = b""

    def _receive_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise ConnectionError("hung up")
            data += chunk
        return data

    def _record(self) -> tuple[int, bytes]:
        while True:
            head = self._receive_exactly(5)
            body = self._receive_exactly(int.from_bytes(head[3:], "big"))
            if head[0] == CHANGE_CIPHER_SPEC:
                continue
            return self.reading.open(head, body) if self.reading and head[0] == APPLICATION else (head[0], body)

    def _message(self) -> tuple[int, bytes]:
        """The next handshake message, added to the transcript."""
        while len(self.pending) < 4 or len(self.pending) < 4 + int.from_bytes(self.pending[1:4], "big"):
            kind, content = self._record()
            if kind == ALERT:
                raise ConnectionError(ALERTS.get(content[1], f"alert {content[1]}"))
            self.pending += content
        length = 4 + int.from_bytes(self.pending[1:4], "big")
        message, self.pending = self.pending[:length], self.pending[length:]
        self.transcript += message
        return message[0], message[4:]

    def _hash(self) -> bytes:
        return hashlib.sha256(self.transcript).digest()

    def show(self, certificates: list[bytes], key, request: bytes) -> Outcome:
        """Shows `certificates` (DER, or what passes for it; leaf first), proves `key`, sends `request`, and reads to the end."""
        with self.socket:
            try:
                server, client = self._greet()
                while True:
                    kind, _ = self._message()
                    if kind == 20:  # Finished: its verification is an honest client's concern
                        break
                after_server = self._hash()
                master = extract(expand(self.secret, "derived", hashlib.sha256().digest(), 32), bytes(32))
                # From its Finished on the server writes with these, also the alert that lies there where what follows comes too late.
                self.reading = Direction(expand(master, "s ap traffic", after_server, 32))
                writing = Direction(client)
                self._show_certificates(writing, certificates, key)
                finished = hmac.digest(expand(client, "finished", b"", 32), self._hash(), "sha256")
                self._send(writing, 20, finished)
                self.socket.sendall(Direction(expand(master, "c ap traffic", after_server, 32)).seal(APPLICATION, request))
            except OSError as error:
                if not isinstance(error, ConnectionError) or str(error) not in ALERTS.values():
                    return self._end(b"", str(error))
                return Outcome(b"", str(error))
            return self._end(b"", "")

    def _end(self, received: bytes, error: str) -> Outcome:
        try:
            while True:
                kind, content = self._record()
                if kind == ALERT:
                    return Outcome(received, ALERTS.get(content[1], f"alert {content[1]}"))
                if kind == APPLICATION:
                    received += content
        except Exception as last:  # noqa: BLE001 - whatever ends the reading, what came before it is the result
            return Outcome(received, error or str(last) or "hung up")

    def _greet(self) -> tuple[bytes, bytes]:
        """ClientHello and ServerHello; the two handshake traffic secrets, server's first."""
        own = x25519.X25519PrivateKey.generate()
        share = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        extensions = b"".join(
            number.to_bytes(2, "big") + vector(data, 2)
            for number, data in (
                (43, vector(b"\x03\x04", 1)),
                (10, vector(b"\x00\x1d", 2)),
                (13, vector(b"\x04\x03\x08\x07", 2)),
                (51, vector(b"\x00\x1d" + vector(share, 2), 2)),
            )
        )
        hello = b"\x03\x03" + os.urandom(32) + vector(b"", 1) + vector(b"\x13\x01", 2) + vector(b"\x00", 1) + vector(extensions, 2)
        message = b"\x01" + vector(hello, 3)
        self.transcript += message
        self.socket.sendall(bytes([HANDSHAKE, 3, 1]) + vector(message, 2))
        kind, body = self._message()
        if kind != 2:
            raise ConnectionError(f"a message of kind {kind} came for ServerHello")
        offset = 2 + 32
        offset += 1 + body[offset] + 2 + 1 + 2
        theirs = b""
        while offset < len(body):
            number, length = int.from_bytes(body[offset : offset + 2], "big"), int.from_bytes(body[offset + 2 : offset + 4], "big")
            if number == 51:
                theirs = body[offset + 8 : offset + 4 + length]
            offset += 4 + length
        shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        self.secret = extract(expand(extract(bytes(32), bytes(32)), "derived", hashlib.sha256().digest(), 32), shared)
        client, server = (expand(self.secret, f"{side} hs traffic", self._hash(), 32) for side in ("c", "s"))
        self.reading = Direction(server)
        return server, client

    def _show_certificates(self, writing: Direction, certificates: list[bytes], key):
        entries = b"".join(vector(certificate, 3) + vector(b"", 2) for certificate in certificates)
        self._send(writing, 11, vector(b"", 1) + vector(entries, 3))
        if certificates:
            content = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + self._hash()
            scheme, signature = prove(key, content)
            self._send(writing, 15, scheme.to_bytes(2, "big") + vector(signature, 2))

    def _send(self, writing: Direction, kind: int, body: bytes):
        message = bytes([kind]) + vector(body, 3)
        self.transcript += message
        for start in range(0, len(message), 16_000):
            self.socket.sendall(writing.seal(HANDSHAKE, message[start : start + 16_000]))


def prove(key, content: bytes) -> tuple[int, bytes]:
    """A signature of `key` with the scheme that RFC 8446 section 4.2.3 has for it, or what comes nearest to one."""
    if isinstance(key, rsa.RSAPrivateKey):
        return 0x0804, key.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return 0x0807, key.sign(content)
    if isinstance(key, ed448.Ed448PrivateKey):
        return 0x0808, key.sign(content)
    schemes = {"secp384r1": (0x0503, hashes.SHA384()), "secp521r1": (0x0603, hashes.SHA512())}
    scheme, digest = schemes.get(key.curve.name, (0x0403, hashes.SHA256()))
    return scheme, key.sign(content, ec.ECDSA(digest))

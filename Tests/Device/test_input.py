"""Garbage at the port: the device stays the same process, in the same memory, and serves its owner (T7)."""

import contextlib
import socket
import ssl

from machine import LOOPBACK


def client_hello() -> bytes:
    """A genuine opening, as OpenSSL writes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing, server_hostname="device")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def throw(port: int, data: bytes):
    """Sends it, ends the own side, and reads what comes back until the device closes."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=30) as plain:
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass


def test_garbage_does_not_end_or_grow_the_runtime(owned_release, dice, torture):
    machine, owner = owned_release
    hello = client_hello()
    before = owner.json("status")
    for _ in range(3000 if torture else 150):
        kind = dice.randrange(3)
        if kind == 0:
            data = dice.randbytes(dice.randrange(1, 4096))
        else:
            changed = bytearray(hello)
            for _ in range(dice.randrange(1, 8)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            data = bytes(changed[: dice.randrange(1, len(changed) + 1)] if kind == 1 else changed)
        throw(machine.port, data)
    after = owner.json("status")
    assert after["startCount"] == before["startCount"] == 1
    # Room for caches that fill once; a leak of a kilobyte a connection would be far beyond it in a long campaign.
    assert after["memory"]["residentBytes"] <= before["memory"]["residentBytes"] + 2 * 1024 * 1024
    assert machine.serial() == b""

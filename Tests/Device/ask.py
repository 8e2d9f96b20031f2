"""Asks by multicast DNS, once, and sends nothing else: `ask.py INTERFACE-ADDRESS NAME TYPE [TTL [PORT [TO]]]`.

A program of its own, because it runs inside a network namespace; who answers what is seen in the capture.
"""

import socket
import struct
import sys

GROUP = "224.0.0.251"


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def ask(interface: str, name: str, kind: int, ttl: int = 255, port: int = 5353, to: str = GROUP):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sending.bind((interface, port))
        sending.sendto(question(name, kind), (to, 5353))


if __name__ == "__main__":
    ask(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]), *sys.argv[6:])

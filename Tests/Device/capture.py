"""A packet capture, read without any library: what each frame of the device was, and whether a TCP stream is TLS and nothing else."""

import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ETHERNET_IPV4, ETHERNET_ARP, ETHERNET_IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOP_BY_HOP = 0
# RFC 4861: router and neighbour solicitation and advertisement; RFC 2710 and 3810: listener reports and done; RFC 4443: errors.
NEIGHBOUR, LISTENER, ICMPV6_ERRORS = {133, 134, 135, 136}, {131, 132, 143}, {1, 2, 3, 4}
ICMP_ERRORS = {3, 11, 12}
# Types of TLS records, and the longest (RFC 8446 section 5).
TLS_TYPES, TLS_MAXIMUM = {20, 21, 22, 23}, 16384 + 256
SYN = 0x02


@dataclass
class Frame:
    time_s: float
    source_mac: str
    kind: str
    """`arp`, `nd`, `mld`, `icmp-error`, `dhcp`, `dns`, `mdns`, `tcp`, or `other: …`."""
    source: tuple = ("", 0)
    destination: tuple = ("", 0)
    sequence: int = 0
    flags: int = 0
    payload: bytes = b""


def frames(path: Path) -> list[Frame]:
    """Every whole frame of a pcap file that tcpdump may still be writing."""
    data = path.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    fraction = 1e-9 if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e-6
    found, at = [], 24
    while at + 16 <= len(data):
        seconds, part, kept, _ = struct.unpack_from(f"{order}IIII", data, at)
        if at + 16 + kept > len(data):
            break
        found.append(_frame(seconds + part * fraction, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return found


def _frame(time_s: float, data: bytes) -> Frame:
    mac = data[6:12].hex(":")
    (kind,) = struct.unpack_from("!H", data, 12)
    if kind == ETHERNET_ARP:
        return Frame(time_s, mac, "arp")
    if kind == ETHERNET_IPV4:
        length = (data[14] & 0x0F) * 4
        addresses = [".".join(map(str, data[at : at + 4])) for at in (26, 30)]
        (total,) = struct.unpack_from("!H", data, 16)
        return _transport(time_s, mac, data[23], data[14 + length : 14 + total], addresses)
    if kind == ETHERNET_IPV6:
        protocol, at = data[20], 54
        (total,) = struct.unpack_from("!H", data, 18)
        if protocol == HOP_BY_HOP:
            protocol, at = data[54], 54 + 8 * (data[55] + 1)
        return _transport(time_s, mac, protocol, data[at : 54 + total], [data[22:38].hex(), data[38:54].hex()])
    return Frame(time_s, mac, f"other: ethernet type {kind:#06x}")


def _transport(time_s: float, mac: str, protocol: int, data: bytes, addresses: list[str]) -> Frame:
    if protocol in (TCP, UDP):
        ports = struct.unpack_from("!HH", data)
        source, destination = ((address, port) for address, port in zip(addresses, ports, strict=True))
        if protocol == TCP:
            (sequence,) = struct.unpack_from("!I", data, 4)
            return Frame(time_s, mac, "tcp", source, destination, sequence, data[13], data[(data[12] >> 4) * 4 :])
        declared = "dhcp" if set(ports) == {67, 68} else "dns" if 53 in ports else "mdns" if set(ports) == {5353} else None
        kind = declared or f"other: UDP to {destination[0]} port {destination[1]}"
        return Frame(time_s, mac, kind, source, destination, payload=data[8:])
    if protocol == ICMPV6 and data:
        kinds = ((NEIGHBOUR, "nd"), (LISTENER, "mld"), (ICMPV6_ERRORS, "icmp-error"))
        return Frame(time_s, mac, next((name for types, name in kinds if data[0] in types), f"other: ICMPv6 type {data[0]}"))
    if protocol == ICMP and data and data[0] in ICMP_ERRORS:
        return Frame(time_s, mac, "icmp-error")
    return Frame(time_s, mac, f"other: protocol {protocol} to {addresses[1]}")


def streams(found: list[Frame]) -> dict[tuple, bytes]:
    """What each side of each TCP connection sent, put together by sequence number; a gap (a segment that was not captured) ends it."""
    segments = defaultdict(list)
    start = {}
    for frame in found:
        if frame.kind != "tcp":
            continue
        key = (frame.source, frame.destination)
        if frame.flags & SYN:
            # A new connection between the same ports is a stream of its own.
            start[key] = (frame.sequence + 1) & 0xFFFFFFFF
        if frame.payload and key in start:
            segments[(*key, start[key])].append(frame)
    result = {}
    for key, parts in segments.items():
        first = key[2]
        stream = b""
        for frame in sorted(parts, key=lambda frame: (frame.sequence - first) & 0xFFFFFFFF):
            at = (frame.sequence - first) & 0xFFFFFFFF
            if at > len(stream):
                break
            stream += frame.payload[len(stream) - at :]
        result[key] = stream
    return result


def is_tls(stream: bytes) -> bool:
    """Whether the bytes are TLS records one after the other; the last may be cut off."""
    at = 0
    while at + 5 <= len(stream):
        kind, major, _, length = struct.unpack_from("!BBBH", stream, at)
        if kind not in TLS_TYPES or major != 3 or length > TLS_MAXIMUM:
            return False
        at += 5 + length
    return len(stream) - at <= 0 or stream[at] in TLS_TYPES

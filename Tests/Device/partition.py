"""A part of one device's disk in another."""

import struct
from pathlib import Path


def graft(source: Path, target: Path):
    """Puts the partition `data` of one disk into another of the same layout (UEFI 2.10, section 5.3: header in block 1, its entries behind)."""
    with open(source, "rb") as read, open(target, "r+b") as write:
        read.seek(512)
        entries, count, size = struct.unpack_from("<QII", read.read(92), 72)
        read.seek(entries * 512)
        table = [read.read(size) for _ in range(count)]
        entry = next(entry for entry in table if entry[56:128].decode("utf-16-le").rstrip("\0") == "data")
        first, last = struct.unpack_from("<QQ", entry, 32)
        for stream in (read, write):
            stream.seek(first * 512)
        left = (last - first + 1) * 512
        while left > 0 and (piece := read.read(min(left, 1 << 20))):
            write.write(piece)
            left -= len(piece)

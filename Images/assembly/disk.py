"""Disk images: a GUID partition table (UEFI specification, chapter 5) and FAT32 file systems (Microsoft's FAT specification).

Written here and not by tools, so that the same inputs give the same bytes and the image can be sparse.
"""

import struct
import time
import uuid
import zlib
from dataclasses import dataclass

SECTOR_BYTES = 512
MIB = 1024 * 1024

# Types of partition. UEFI looks for its default boot path on partitions of the first one.
TYPE_EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_LUKS = uuid.UUID("ca7d7ccb-63ed-4c53-861c-1742536059cc")
# Haechi's own: the small store of what survives a wipe.
TYPE_IDENT = uuid.UUID("5b0c6d1e-7f43-4c1a-9d52-0a9e3f6c41d7")

TABLE_ENTRIES = 128
ENTRY_BYTES = 128
TABLE_SECTORS = TABLE_ENTRIES * ENTRY_BYTES // SECTOR_BYTES


class DiskError(Exception):
    """One sentence that says what does not fit where."""


@dataclass(frozen=True)
class Partition:
    name: str
    kind: uuid.UUID
    first_byte: int
    size_bytes: int


def layout(sizes):
    """Places [(name, type, size in bytes)] one after the other from 1 MiB on; returns partitions and the disk's size."""
    partitions, offset = [], MIB
    for name, kind, size in sizes:
        if size <= 0 or size % MIB:
            raise DiskError(f"partition {name}: {size} bytes is not a whole number of MiB")
        partitions.append(Partition(name, kind, offset, size))
        offset += size
    return partitions, offset + MIB


def _header(*, own, other, table_at, sectors, disk_guid, table_crc):
    """One sector: the header of the copy that lies at sector `own` and has its table at `table_at`."""

    def pack(crc):
        positions = (own, other, 2 + TABLE_SECTORS, sectors - TABLE_SECTORS - 2)
        fixed = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x00010000, 92, crc, 0, *positions)
        return fixed + struct.pack("<16sQIII", disk_guid.bytes_le, table_at, TABLE_ENTRIES, ENTRY_BYTES, table_crc)

    return pack(zlib.crc32(pack(0))).ljust(SECTOR_BYTES, b"\0")


def write_table(file, partitions, disk_bytes, seed):
    """Writes the protective MBR and both copies of the table; identifiers are derived from the text `seed`."""
    sectors = disk_bytes // SECTOR_BYTES
    disk_guid = uuid.uuid5(TYPE_IDENT, seed)
    table = b"".join(
        struct.pack(
            "<16s16sQQQ72s",
            p.kind.bytes_le,
            uuid.uuid5(disk_guid, p.name).bytes_le,
            p.first_byte // SECTOR_BYTES,
            (p.first_byte + p.size_bytes) // SECTOR_BYTES - 1,
            0,
            p.name.encode("utf-16-le"),
        )
        for p in partitions
    )
    table = table.ljust(TABLE_ENTRIES * ENTRY_BYTES, b"\0")
    common = {"sectors": sectors, "disk_guid": disk_guid, "table_crc": zlib.crc32(table)}
    last_table = sectors - TABLE_SECTORS - 1
    # One entry of type 0xEE over the whole disk keeps tools that know no GPT away from it.
    record = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    file.truncate(disk_bytes)
    file.seek(0)
    file.write(b"\0" * 446 + record + b"\0" * 48 + b"\x55\xaa")
    file.write(_header(own=1, other=sectors - 1, table_at=2, **common) + table)
    file.seek(last_table * SECTOR_BYTES)
    file.write(table + _header(own=sectors - 1, other=1, table_at=last_table, **common))


def read_table(data):
    """The partitions of a disk whose first MiB is `data`; both checksums are verified."""
    header = data[SECTOR_BYTES : 2 * SECTOR_BYTES]
    if header[:8] != b"EFI PART":
        raise DiskError("the disk has no GUID partition table")
    fields = struct.unpack("<8sIIIIQQQQ16sQIII", header[:92])
    table = data[fields[10] * SECTOR_BYTES :][: fields[11] * fields[12]]
    if zlib.crc32(header[:16] + b"\0" * 4 + header[20:92]) != fields[3] or zlib.crc32(table) != fields[13]:
        raise DiskError("the partition table's checksum is wrong")
    found = []
    for offset in range(0, len(table), fields[12]):
        kind, _, start, end, _, name = struct.unpack("<16s16sQQQ72s", table[offset : offset + ENTRY_BYTES])
        if any(kind):
            found.append(
                Partition(name.decode("utf-16-le").rstrip("\0"), uuid.UUID(bytes_le=kind), start * SECTOR_BYTES, (end - start + 1) * SECTOR_BYTES)
            )
    return found


# FAT32 with clusters of one sector: the smallest legal FAT32 is then 33 MiB, and a slot is larger.
RESERVED_SECTORS = 32
CHAIN_END = 0x0FFFFFFF


def _short_name(name):
    stem, _, extension = name.partition(".")
    if not (1 <= len(stem) <= 8 and len(extension) <= 3 and name.isascii() and name == name.upper()):
        raise DiskError(f"{name} is not a short FAT name (eight and three capitals)")
    return stem.ljust(8).encode() + extension.ljust(3).encode()


def _dos_time(epoch_s):
    """Date and time of a directory entry: UTC, from 1980 on, in steps of two seconds."""
    t = time.gmtime(max(epoch_s, 315532800))
    return ((t.tm_year - 1980) << 9) | (t.tm_mon << 5) | t.tm_mday, (t.tm_hour << 11) | (t.tm_min << 5) | (t.tm_sec // 2)


def fat32_with_file(path, content, size_bytes, label, epoch_s):
    """A FAT32 file system holding one file, as [(offset in bytes, bytes)]; all else is zero.

    `path` is like EFI/BOOT/BOOTAA64.EFI: short names only.
    """
    sectors = size_bytes // SECTOR_BYTES
    # Each FAT sector describes 128 clusters, and there are two FATs; the first two entries describe no cluster.
    fat_sectors = -(-(sectors - RESERVED_SECTORS + 2) // (SECTOR_BYTES // 4 + 2))
    data_start = RESERVED_SECTORS + 2 * fat_sectors
    clusters = sectors - data_start
    if clusters < 65525:
        raise DiskError(f"file system {label}: {size_bytes} bytes is too small for FAT32")
    if not content:
        raise DiskError(f"file system {label}: {path} is empty")
    folders = path.split("/")[:-1]
    file_clusters = -(-len(content) // SECTOR_BYTES)
    used = 1 + len(folders) + file_clusters
    if used > clusters:
        raise DiskError(f"file system {label}: {path} has {len(content)} bytes and does not fit in {size_bytes}")

    date, time_ = _dos_time(epoch_s)

    def entry(name, attributes, cluster, size):
        return struct.pack("<11sBBBHHHHHHHI", name, attributes, 0, 0, time_, date, date, cluster >> 16, time_, date, cluster & 0xFFFF, size)

    # Cluster 2 is the root folder, then one cluster for each folder on the way, then the file.
    fat = [0x0FFFFFF8, CHAIN_END, CHAIN_END] + [CHAIN_END] * len(folders)
    first_file = len(fat)
    fat += list(range(first_file + 1, first_file + file_clusters)) + [CHAIN_END]
    listings = []
    names = path.split("/")
    for depth in range(len(folders) + 1):
        child_is_file = depth == len(folders)
        child_cluster = first_file if child_is_file else depth + 3
        listing = entry(_short_name(names[depth]), 0x20 if child_is_file else 0x10, child_cluster, len(content) if child_is_file else 0)
        if depth == 0:
            listing = entry(label.upper().ljust(11).encode(), 0x08, 0, 0) + listing
        else:
            parent = 0 if depth == 1 else depth + 1
            listing = entry(b".          ", 0x10, depth + 2, 0) + entry(b"..         ", 0x10, parent, 0) + listing
        listings.append(listing.ljust(SECTOR_BYTES, b"\0"))

    boot = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x58\x90", b"HAECHI  ", SECTOR_BYTES, 1, RESERVED_SECTORS, 2, 0, 0, 0xF8, 0, 32, 8, 0, sectors)
    boot += struct.pack(
        "<IHHIHH12xBBBI11s8s",
        fat_sectors,
        0,
        0,
        2,
        1,
        6,
        0x80,
        0,
        0x29,
        zlib.crc32(label.encode()),
        label.upper().ljust(11).encode(),
        b"FAT32   ",
    )
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    info = b"RRaA" + b"\0" * 480 + b"rrAa" + struct.pack("<II", clusters - used, 2 + used) + b"\0" * 12 + b"\0\0\x55\xaa"
    fat_bytes = struct.pack(f"<{len(fat)}I", *fat)
    return [
        (0, boot + info),
        (6 * SECTOR_BYTES, boot + info),
        (RESERVED_SECTORS * SECTOR_BYTES, fat_bytes),
        ((RESERVED_SECTORS + fat_sectors) * SECTOR_BYTES, fat_bytes),
        (data_start * SECTOR_BYTES, b"".join(listings) + content),
    ]


def write_image(file, slot_files, sizes, seed, epoch_s):
    """Writes a whole disk: `sizes` as in `layout`; `slot_files` maps a partition's name to (path, content)."""
    partitions, disk_bytes = layout(sizes)
    write_table(file, partitions, disk_bytes, seed)
    for partition in partitions:
        if partition.name in slot_files:
            path, content = slot_files[partition.name]
            for offset, data in fat32_with_file(path, content, partition.size_bytes, partition.name, epoch_s):
                file.seek(partition.first_byte + offset)
                file.write(data)
    return partitions

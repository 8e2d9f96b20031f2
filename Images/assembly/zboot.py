"""The kernel's generic EFI decompressor (zboot): one EFI program that carries the kernel image packed.

The head of such a file (linux drivers/firmware/efi/libstub/zboot-header.S), numbers little-endian:

    0   "MZ", two zero bytes        8   offset of the payload, 4 bytes      24  how it is packed: "zstd\\0"
    4   "zimg"                      12  its size in bytes, 4 bytes
"""

import struct
import subprocess
import tempfile

HEAD_BYTES = 64
# An arm64 kernel image with its initramfs: no payload of ours comes near, and a damaged one shall not fill the memory.
IMAGE_MAXIMUM_BYTES = 256 << 20


class ZbootError(Exception):
    """One sentence that says what is wrong with the file."""


def is_zboot(firmware):
    return firmware[:4] == b"MZ\0\0" and firmware[4:8] == b"zimg"


def unpack(firmware):
    """The kernel image in a zboot file, as UEFI's loader would hand over to it; signature and decompressor are left behind."""
    if not is_zboot(firmware) or len(firmware) < HEAD_BYTES:
        raise ZbootError("it is no packed kernel: the mark zimg is missing")
    offset, size = struct.unpack_from("<II", firmware, 8)
    method = firmware[24:56].split(b"\0")[0].decode("ascii", "replace")
    if method != "zstd":
        raise ZbootError(f"its kernel is packed by '{method}', and only zstd is known here")
    if offset < HEAD_BYTES or size == 0 or offset + size > len(firmware):
        raise ZbootError(f"its payload (byte {offset}, {size} bytes) does not lie in the file of {len(firmware)} bytes")
    with tempfile.TemporaryFile() as payload:
        payload.write(firmware[offset : offset + size])
        payload.seek(0)
        # The frame was made at level 22, whose window of 128 MiB the tool refuses unless told.
        command = ["zstd", "--decompress", "--quiet", "--stdout", "--memory=256MB"]
        try:
            unpacker = subprocess.Popen(command, stdin=payload, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except FileNotFoundError as error:
            raise ZbootError("zstd is missing: install the package zstd") from error
        with unpacker:
            image = unpacker.stdout.read(IMAGE_MAXIMUM_BYTES + 1)
            if len(image) > IMAGE_MAXIMUM_BYTES:
                unpacker.kill()
                raise ZbootError(f"its kernel has more than the {IMAGE_MAXIMUM_BYTES} bytes that are believed")
    if unpacker.returncode != 0:
        raise ZbootError("its payload does not unpack: the file is damaged")
    return image

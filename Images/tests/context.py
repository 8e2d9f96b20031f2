"""Lets the tests import what they test, and makes small ELF files for them."""

import importlib.util
import struct
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(IMAGES))

from assembly import elf  # noqa: E402


def load_program(name):
    """A program of Images/ (they have no .py in their names) as a module."""
    loader = SourceFileLoader(name.replace("-", "_") + "_program", str(IMAGES / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def make_elf(
    *,
    needed=(),
    interpreter="",
    soname="",
    machine=elf.MACHINE_AARCH64,
    kind=elf.ET_DYN,
    bind_now=True,
    relro=True,
    executable_stack=False,
    search_path="",
    extra=b"",
):
    """A whole ELF64 file without code: headers, a dynamic section and its strings, as a hardened linker would leave them."""
    strings = bytearray(b"\0")

    def string(text):
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    tags = [(elf.DT_NEEDED, string(name)) for name in needed]
    if soname:
        tags.append((elf.DT_SONAME, string(soname)))
    if search_path:
        tags.append((elf.DT_RUNPATH, string(search_path)))
    if bind_now:
        tags.append((elf.DT_FLAGS, elf.DF_BIND_NOW))
    count = 3 + bool(interpreter) + relro
    body = 64 + 56 * count
    dynamic_bytes = 16 * (len(tags) + 2)
    strings_at = body + dynamic_bytes
    interpreter_at = strings_at + len(strings)
    tags += [(elf.DT_STRTAB, strings_at), (0, 0)]
    content = b"".join(struct.pack("<QQ", *tag) for tag in tags) + bytes(strings) + interpreter.encode() + b"\0" + extra
    end = body + len(content)

    def header(segment, flags, offset, size):
        return struct.pack("<IIQQQQQQ", segment, flags, offset, offset, offset, size, size, 8)

    headers = [
        header(elf.PT_LOAD, 4, 0, end),
        header(elf.PT_DYNAMIC, 6, body, dynamic_bytes),
        header(elf.PT_GNU_STACK, 7 if executable_stack else 6, 0, 0),
    ]
    if relro:
        headers.append(header(elf.PT_GNU_RELRO, 4, body, dynamic_bytes))
    if interpreter:
        headers.append(header(elf.PT_INTERP, 4, interpreter_at, len(interpreter) + 1))
    start = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    return start + b"".join(headers) + content


def make_zboot(kernel, *, method=b"zstd", offset=64, size=None):
    """A packed kernel as assembly/zboot.py describes it, with something behind its payload."""
    payload = subprocess.run(["zstd", "-q", "-c"], input=kernel, stdout=subprocess.PIPE, check=True).stdout
    head = b"MZ\0\0zimg" + struct.pack("<II", offset, len(payload) if size is None else size) + bytes(8) + method.ljust(32, b"\0")
    return head.ljust(64, b"\0") + payload + b"signature"

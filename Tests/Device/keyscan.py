"""Finds the expanded AES-256 keys that lie in a dump of a machine's memory, as who freezes its chips would (Halderman et al., 2008)."""

import sys
from array import array
from pathlib import Path


def _box() -> bytes:
    """The S-box (FIPS 197, section 5.1.1)."""
    box, p, q = bytearray(256), 1, 1
    while True:
        # p is multiplied by 3 and q divided by it: q is p's inverse.
        p = p ^ (p << 1 & 0xFF) ^ (0x1B if p & 0x80 else 0)
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        turned = q
        for shift in (1, 2, 3, 4):
            turned ^= (q << shift | q >> 8 - shift) & 0xFF
        box[p] = turned ^ 0x63
        if p == 1:
            box[0] = 0x63
            return bytes(box)


BOX = _box()


def _substitute(word: int) -> int:
    return BOX[word & 0xFF] | BOX[word >> 8 & 0xFF] << 8 | BOX[word >> 16 & 0xFF] << 16 | BOX[word >> 24] << 24


def _is_schedule(w: array, at: int) -> bool:
    """Whether the 60 words from `at` are the key schedule of their first 8 (FIPS 197, section 5.2), read as little-endian words."""
    constant = 1
    for i in range(8, 60):
        before = w[at + i - 1]
        if i % 8 == 0:
            before = _substitute((before >> 8 | before << 24) & 0xFFFFFFFF) ^ constant
            constant <<= 1
        elif i % 8 == 4:
            before = _substitute(before)
        if w[at + i] != w[at + i - 8] ^ before:
            return False
    return True


def keys(dump: Path) -> set[bytes]:
    """The keys, 32 bytes each. Structures of the kernel begin at multiples of 8 bytes."""
    data = dump.read_bytes()
    words = array("I")
    words.frombytes(data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        words.byteswap()
    found = set()
    # Three of the words that are a mere XOR of two others, and no run of one value: that leaves few for the whole look.
    for at in range(0, len(words) - 60, 2):
        if words[at + 9] == words[at + 1] ^ words[at + 8] and words[at + 10] == words[at + 2] ^ words[at + 9] and words[at] != words[at + 8]:
            if words[at + 13] == words[at + 5] ^ words[at + 12] and _is_schedule(words, at):
                found.add(data[at * 4 : at * 4 + 32])
    return found

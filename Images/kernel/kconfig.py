#!/usr/bin/env python3
"""Joins kernel configuration fragments and checks what Kconfig made of them.

    kconfig.py merge FRAGMENT...           prints one fragment; a symbol said twice is refused
    kconfig.py check CONFIG FRAGMENT...    fails, listing each symbol that is not as asked

Kconfig drops a requested symbol without a word when a dependency is missing; that is how a device loses a protection
from one kernel version to the next. Hence the check, and hence `is not set` lines count as requests too.
"""

import re
import sys

SET_LINE = re.compile(r"(CONFIG_[A-Za-z0-9_]+)=(.+)")
UNSET_LINE = re.compile(r"# (CONFIG_[A-Za-z0-9_]+) is not set")


class ConfigError(Exception):
    """One sentence that says which file, line and symbol."""


def parse(text, name):
    """Symbols of a fragment or of a .config, in order; an unset symbol has the value 'n'."""
    symbols = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        match = SET_LINE.fullmatch(line)
        unset = UNSET_LINE.fullmatch(line)
        if match:
            symbol, value = match.groups()
        elif unset:
            symbol, value = unset.group(1), "n"
        elif line == "" or line.startswith("#"):
            continue
        else:
            raise ConfigError(f"{name}:{number}: “{line}” is neither CONFIG_X=value, “# CONFIG_X is not set”, nor a comment")
        if symbol in symbols:
            raise ConfigError(f"{name}:{number}: {symbol} is said twice in this file: keep one line")
        symbols[symbol] = value
    return symbols


def merge(fragments):
    """Joins [(name, text)]; a symbol has its place in exactly one fragment."""
    merged, origin = {}, {}
    for name, text in fragments:
        for symbol, value in parse(text, name).items():
            if symbol in merged:
                raise ConfigError(f"{name}: {symbol} is said in {origin[symbol]} too: say it in one fragment only")
            merged[symbol], origin[symbol] = value, name
    return merged


def render(symbols):
    lines = [f"# {s} is not set" if v == "n" else f"{s}={v}" for s, v in symbols.items()]
    return "\n".join(lines) + "\n"


def dropped(requested, actual):
    """What Kconfig did not give: [(symbol, asked, got)]. A symbol that .config does not mention is unset."""
    return [(s, v, actual.get(s, "n")) for s, v in requested.items() if actual.get(s, "n") != v]


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "merge":
        print(render(merge([(p, read(p)) for p in arguments[1:]])), end="")
        return 0
    if len(arguments) >= 3 and arguments[0] == "check":
        requested = merge([(p, read(p)) for p in arguments[2:]])
        lost = dropped(requested, parse(read(arguments[1]), arguments[1]))
        for symbol, asked, got in lost:
            print(f"kconfig: {symbol}: asked for {asked}, got {got}", file=sys.stderr)
        if lost:
            print(
                f"kconfig: {len(lost)} of {len(requested)} options are not as the fragments ask: "
                "a dependency is missing, or another option selects it",
                file=sys.stderr,
            )
            return 1
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ConfigError as error:
        sys.exit(f"kconfig: {error}")

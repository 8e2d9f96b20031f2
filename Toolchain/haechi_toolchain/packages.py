"""The package lists under `Toolchain/packages/`."""

import dataclasses
import pathlib
import shlex

from .console import ToolchainError


@dataclasses.dataclass(frozen=True)
class PackageList:
    """Package names, path patterns to leave out, and symbolic links (path, target) to add."""

    names: tuple
    excludes: tuple
    links: tuple


def parse(text, source):
    names, excludes, links = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "exclude" and len(words) == 2:
            excludes.append(words[1])
        elif words[0] == "link" and len(words) == 3:
            links.append((words[1], words[2]))
        elif len(words) == 1 and words[0] not in ("exclude", "link"):
            names.append(words[0])
        else:
            raise ToolchainError(f'{source} line {number} must be a package name, "exclude PATTERN" or "link PATH TARGET".')
    if not names:
        raise ToolchainError(f"{source} names no package.")
    return PackageList(tuple(names), tuple(excludes), tuple(links))


def load(name):
    path = pathlib.Path(__file__).resolve().parent.parent / "packages" / name
    return parse(path.read_text(encoding="utf-8"), f"Toolchain/packages/{name}")

"""Debian versions: their order (Debian Policy 5.6.12), and the choice of a matching compiler and library pair."""

import dataclasses
import re

from .console import ToolchainError


def _character_rank(character):
    if character == "~":
        return -1
    if character.isalpha():
        return ord(character)
    return ord(character) + 256


def _compare_part(left, right):
    """Compares an upstream version or a revision: alternating runs of non-digits and digits."""
    while left or right:
        left_text, right_text = re.match(r"\D*", left).group(), re.match(r"\D*", right).group()
        left, right = left[len(left_text) :], right[len(right_text) :]
        for index in range(max(len(left_text), len(right_text))):
            left_rank = _character_rank(left_text[index]) if index < len(left_text) else 0
            right_rank = _character_rank(right_text[index]) if index < len(right_text) else 0
            if left_rank != right_rank:
                return -1 if left_rank < right_rank else 1
        left_digits, right_digits = re.match(r"\d*", left).group(), re.match(r"\d*", right).group()
        left, right = left[len(left_digits) :], right[len(right_digits) :]
        left_number, right_number = int(left_digits or 0), int(right_digits or 0)
        if left_number != right_number:
            return -1 if left_number < right_number else 1
    return 0


def _split(version):
    epoch, _, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch or 0), upstream, revision


def compare(left, right):
    """-1, 0 or 1 as `left` is older than, equal to or newer than `right`."""
    left_epoch, left_upstream, left_revision = _split(left)
    right_epoch, right_upstream, right_revision = _split(right)
    if left_epoch != right_epoch:
        return -1 if left_epoch < right_epoch else 1
    return _compare_part(left_upstream, right_upstream) or _compare_part(left_revision, right_revision)


def source_version(version):
    """The version without the suffix of a rebuild on one architecture (`+b1`): the same source, the same compiler."""
    return re.sub(r"\+b\d+$", "", version)


def newest(versions):
    best = None
    for version in versions:
        if best is None or compare(version, best) > 0:
            best = version
    return best


@dataclasses.dataclass(frozen=True)
class Pair:
    """The versions that were chosen for the compiler and for its libraries, and what to say about it, if anything."""

    compiler: str
    libraries: str
    note: str


def choose_pair(package, expected, compiler_versions, library_versions):
    """The expected version when both architectures have it, else the newest that both have, if it is newer.

    A compiler reads only the modules of its own version, so both must be built from one source version."""
    if not compiler_versions or not library_versions:
        missing = "amd64" if not compiler_versions else "arm64"
        raise ToolchainError(f"the suite has no {package} for {missing}; wait until it is built there, or set SWIFT_SDK to a ready-made SDK.")
    compilers, libraries = {}, {}
    for versions, table in ((compiler_versions, compilers), (library_versions, libraries)):
        for version in versions:
            source = source_version(version)
            table[source] = newest([version] + ([table[source]] if source in table else []))
    common = [source for source in compilers if source in libraries]
    if not common:
        raise ToolchainError(
            f"compiler and libraries do not match: {package} is {newest(compiler_versions)} for amd64 but "
            f"{newest(library_versions)} for arm64; wait until the suite has one version of both, "
            "or set SWIFT_SDK to a ready-made SDK."
        )
    wanted = source_version(expected)
    if wanted in common:
        return Pair(compilers[wanted], libraries[wanted], "")
    source = newest(common)
    if compare(source, wanted) < 0:
        raise ToolchainError(
            f"Toolchain/versions expects {package} {expected}, but the newest that amd64 and arm64 share is "
            f"the older {source}; the mirror may be behind: try again later, or change Toolchain/versions."
        )
    note = (
        f"the suite has moved on: {package} {expected} is no longer there, "
        f"taking {compilers[source]} for the compiler and {libraries[source]} for the libraries instead"
    )
    return Pair(compilers[source], libraries[source], note)


def read_expected(text):
    """The committed `versions` file as {(suite, package): version}."""
    expected = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].split()
        if not line:
            continue
        if len(line) != 3:
            raise ToolchainError(f"Toolchain/versions line {number} must be SUITE PACKAGE VERSION.")
        expected[line[0], line[1]] = line[2]
    return expected

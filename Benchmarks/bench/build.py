"""Builds what is measured: Haechi's products in release mode, and the peers that are written here."""

import os
import pathlib
import subprocess
import sys

PACKAGE = pathlib.Path(__file__).resolve().parent.parent
# Set by `--no-build`: what was built before is used as it is.
reuses = False


def swift(product):
    """The release build of a product of Benchmarks/ or of the device's package."""
    command = ["swift", "build", "-c", "release", "--package-path", str(PACKAGE)]
    if not reuses:
        _run([*command, "--product", product])
    return PACKAGE / ".build" / "release" / product


def operator():
    """The operator's command line, where device tests have it (`Tests/Device/owner.py`)."""
    if not reuses:
        _run(["swift", "build", "--package-path", str(PACKAGE.parent), "--product", "haechi"])


def for_callgrind(program, folder):
    """A copy of `program` in `folder` without debug information, which this machine's valgrind may be too old to read."""
    stripped = folder / program.name
    _run(["strip", "--strip-debug", "-o", str(stripped), str(program)])
    return stripped


def go_server():
    """peers/server, by the Go that is pinned."""
    folder = _peers()
    if not reuses:
        _run(["go", "build", "-trimpath", "-o", str(folder / "server"), "./server"], cwd=PACKAGE / "peers", env=go_environment(folder))
    return folder / "server"


def load():
    """peers/load.c, against this machine's OpenSSL."""
    return _c("load", "-lssl", "-lcrypto")


def vault_peer():
    """peers/vault.c, against the distribution's SQLCipher."""
    return _c("vault", "-DSQLITE_HAS_CODEC", "-lsqlcipher", "-lcrypto")


def _c(name, *options):
    made = _peers() / name
    if not reuses:
        _run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", str(made), str(PACKAGE / "peers" / f"{name}.c"), *options])
    return made


def _peers():
    folder = PACKAGE / ".build" / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def go_environment(folder):
    """For Go's own commands; `folder` keeps what they cache."""
    # The toolchain that is pinned (beside this Python), and no other; no module is fetched.
    path = f"{pathlib.Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    settings = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0"}
    return os.environ | settings | {"PATH": path}


def _run(command, **options):
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if made.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{made.stdout}")


def compiler_version():
    """Instructions are comparable for one compiler only."""
    return subprocess.run(["swift", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()[0]

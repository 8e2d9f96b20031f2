"""What the parts of an image's assembly share: commands that are run, files that are read, and one kind of error."""

import hashlib
import subprocess
from pathlib import Path


class ImageError(Exception):
    """One sentence that says what stopped the image, and what to do."""


def run(*command, **options):
    """Runs a command and returns its standard output, stripped; its errors go to ours."""
    try:
        done = subprocess.run([str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE, **options)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is missing: run Toolchain/need image") from error
    except subprocess.CalledProcessError as error:
        raise ImageError(f"{Path(str(command[0])).name} failed (status {error.returncode}): see the lines above") from error
    return done.stdout.strip()


def read(path, what):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {what} {path}: {error.strerror}") from error


def sha256(data):
    return hashlib.sha256(data).hexdigest()

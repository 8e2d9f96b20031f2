"""The cache folder: where it is, who may write in it at a time, and whether it has room."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

from .console import ToolchainError


def cache_folder():
    """`$HAECHI_CACHE`, or `~/.cache/haechi`; made when it is missing."""
    value = os.environ.get("HAECHI_CACHE")
    folder = pathlib.Path(value) if value else pathlib.Path.home() / ".cache" / "haechi"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(
            f"the cache folder {folder} cannot be made ({error.strerror}); set HAECHI_CACHE to a folder that you can write."
        ) from error
    if not os.access(folder, os.W_OK):
        raise ToolchainError(f"the cache folder {folder} cannot be written; set HAECHI_CACHE to one that you can write.")
    return folder.resolve()


@contextlib.contextmanager
def lock(path, steps, holder):
    """Holds an exclusive lock on `path`; says so when another run has it, and waits for that run to end."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        # A lock file that another user made can still be locked through a reading descriptor.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.note(f"another run holds {holder}; waiting for it to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def package_client_lock():
    """Two package clients at once clash, so all of this project's share one lock file; it lies in the system's
    temporary folder because different users and caches must meet there. `HAECHI_APT_LOCK` names another."""
    return os.environ.get("HAECHI_APT_LOCK") or os.path.join(tempfile.gettempdir(), "haechi-apt.lock")


def check_room(folder, needed_bytes, purpose):
    """Refuses to start what cannot fit; `needed_bytes` is what will be written below `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise ToolchainError(
            f"{purpose} needs {megabytes(needed_bytes)} in {folder} and only {megabytes(free)} are free; "
            "free some space or set HAECHI_CACHE to a folder on a larger disk."
        )


def megabytes(count):
    return f"{count / 1e6:,.0f} MB"


@contextlib.contextmanager
def built_in_one_piece(final):
    """A temporary folder beside `final` that takes its name only when everything in it is complete.
    What stopped runs left behind is removed first: the caller holds the lock, so nobody is using it."""
    for stale in final.parent.glob(f".{final.name}.part-*"):
        remove_tree(stale)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{final.name}.part-", dir=final.parent))
    folder.chmod(0o755)
    try:
        yield folder
        os.rename(folder, final)
    finally:
        if folder.exists():
            remove_tree(folder)


def remove_tree(folder):
    """Removes a folder even when packages put folders in it that their owner may not write."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)

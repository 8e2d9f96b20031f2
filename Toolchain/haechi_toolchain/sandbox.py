"""Runs a command inside a root folder with bubblewrap, which needs no privilege; the same for root."""

import os
import pathlib
import shutil
import subprocess

from .console import ToolchainError

# A package manager inside may have to reach the network as the machine does.
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TERM", "NO_COLOR")
_HOST_FILES = ("passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "localtime")


def command(root, arguments, *, binds=(), environment=None, folder="/", host_temporary=False):
    """The bubblewrap command that runs `arguments` with `root` as `/`.

    `binds` holds (host path, path inside, writable). The root itself is read-only. /proc is the new process
    space's own; the network is the machine's."""
    program = shutil.which("bwrap")
    if not program:
        raise ToolchainError("bwrap is needed and not installed; install the package bubblewrap.")
    words = [program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--clearenv"]
    root = pathlib.Path(root)
    for entry in sorted(root.iterdir()):
        if entry.is_symlink():
            words += ["--symlink", os.readlink(entry), f"/{entry.name}"]
        elif entry.name not in ("etc", "proc", "dev", "tmp", "sys"):
            words += ["--ro-bind", str(entry), f"/{entry.name}"]
    # /etc is put together: the root's own entries, and the few of the machine that name users, hosts and certificates.
    host_files = {name for name in _HOST_FILES if os.path.exists(f"/etc/{name}")}
    for entry in sorted((root / "etc").iterdir()) if (root / "etc").is_dir() else ():
        if entry.name in host_files or entry.name == "ssl":
            continue
        if entry.is_symlink():
            words += ["--symlink", os.readlink(entry), f"/etc/{entry.name}"]
        else:
            words += ["--ro-bind", str(entry), f"/etc/{entry.name}"]
    for name in sorted(host_files):
        words += ["--ro-bind", os.path.realpath(f"/etc/{name}"), f"/etc/{name}"]
    if os.path.isdir("/etc/ssl/certs"):
        words += ["--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--bind", "/tmp", "/tmp"] if host_temporary else ["--tmpfs", "/tmp"]
    for host, inside, writable in binds:
        words += ["--bind" if writable else "--ro-bind", str(host), str(inside)]
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/tmp"}
    variables |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    variables |= environment or {}
    for name, value in variables.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", str(folder), "--", *arguments]


def check_works(root):
    """Says in one sentence why the machine refuses a sandbox, before a long command fails in a strange way."""
    result = subprocess.run(command(root, ["/bin/sh", "-c", "exit 0"]), capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ToolchainError(f"bubblewrap cannot make a sandbox here ({reason}); run as root, or allow unprivileged user namespaces on this machine.")


def git_binds():
    """What git inside needs of the machine's git: its system and global settings, and the local folders to which
    its address rewrites (`url.*.insteadOf`) point. Returns (binds, environment)."""
    binds, environment = [], {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", "GIT_TERMINAL_PROMPT": "0"}
    if os.path.isfile("/etc/gitconfig"):
        binds.append(("/etc/gitconfig", "/etc/gitconfig", False))
    configured = os.environ.get("GIT_CONFIG_GLOBAL")
    candidates = (
        [configured]
        if configured
        else [os.path.expanduser("~/.gitconfig"), os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "git", "config")]
    )
    # GIT_CONFIG_GLOBAL names one file; git reads both usual places, so the second is included by the first that exists.
    present = [path for path in candidates if os.path.isfile(path)]
    if present:
        binds.append((os.path.realpath(present[0]), "/etc/haechi-gitconfig", False))
        environment["GIT_CONFIG_GLOBAL"] = "/etc/haechi-gitconfig"
    if len(present) > 1:
        binds.append((os.path.realpath(present[1]), "/etc/haechi-gitconfig-2", False))
        environment |= {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_1": "include.path", "GIT_CONFIG_VALUE_1": "/etc/haechi-gitconfig-2"}
    listed = subprocess.run(
        ["git", "config", "--name-only", "--get-regexp", r"^url\..*\.insteadof$"], capture_output=True, text=True, check=False, cwd="/"
    )
    for folder in rewritten_folders(listed.stdout):
        if os.path.isdir(folder):
            binds.append((folder, folder, False))
    return binds, environment


def rewritten_folders(names):
    """The local folders in the names of git's `url.BASE.insteadof` settings, one name a line; each folder once."""
    folders = []
    for name in names.splitlines():
        base = name.removeprefix("url.").rsplit(".", 1)[0].removeprefix("file://").rstrip("/")
        if base.startswith("/") and base not in folders:
            folders.append(base)
    return folders

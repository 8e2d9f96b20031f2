"""The tools root: an amd64 root of the device's own suite with programs that the build machine's release lacks."""

import json
import os
import pathlib
import shutil

from . import archive, cache, packages, sandbox, sdk
from .console import ToolchainError

_INPUTS = ("packages/tools-root", "haechi_toolchain/tools.py", "haechi_toolchain/archive.py", "haechi_toolchain/packages.py")
# The machine's certificates are not the root's business, but tools that check a public server expect this file.
_CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

# These name the machine's own programs and libraries, which are not in the root.
_NOT_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "PYTHONPATH", "PERL5LIB", "PWD", "OLDPWD", "LC_ALL")


def make(steps):
    """The folder of the tools root for this checkout's inputs: found in the cache, or made."""
    store = cache.cache_folder()
    final = store / f"tools-{sdk.input_key(_INPUTS)}"
    if not (final / "packages.json").is_file():
        with cache.lock(store / "tools-root.lock", steps, "the tools root"):
            if not (final / "packages.json").is_file():
                _make_in(store, final, steps)
    return final


def _make_in(store, final, steps):
    if final.exists():
        cache.remove_tree(final)
    with cache.built_in_one_piece(final) as folder:
        downloads = store / "downloads"
        downloads.mkdir(exist_ok=True)
        index = steps.run("index of the stable suite (signed)", lambda: archive.Index.fetch(folder / "index", "trixie", ["amd64"], downloads, steps))
        package_list = packages.load("tools-root")
        chosen = index.resolve([f"{name}:amd64" for name in package_list.names])
        cache.check_room(store, int(sdk.ROOM_FACTOR * sum(package.installed_size for package in chosen)), "making the tools root")
        size = cache.megabytes(sum(package.size for package in chosen))
        files = steps.run(f"download of {len(chosen)} packages ({size} in all, less what is here)", lambda: index.download(chosen))
        root = folder / "root"
        steps.run("tools root", lambda: _unpack(root, package_list, chosen, files))
        cache.remove_tree(folder / "index")
        folder.joinpath("packages.json").write_text(
            json.dumps({"tools_root": [package.record() for package in chosen]}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )


def _unpack(root, package_list, chosen, files):
    archive.prepare_root(root)
    for package in chosen:
        archive.unpack(files[package], root, excludes=package_list.excludes)
    archive.add_links(root, package_list.links)
    bundle = root / _CERTIFICATE_BUNDLE
    bundle.parent.mkdir(parents=True, exist_ok=True)
    # What the certificates' own maintainer script does: all of them in one file.
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(certificate.read_bytes() for certificate in certificates))


def command(folder, words, binds):
    """The command that runs `words` inside the tools root: the machine's network, the current folder and the temporary
    folder at their own paths, and the folders in `binds` too (`DIR`, or `DIR:ro`)."""
    here = os.getcwd()
    mounts, wanted = [], [here, *binds]
    swift = shutil.which("swift")
    if swift:
        # The machine's Swift, so that host tests can be built in here against the device's library versions.
        toolchain = pathlib.Path(os.path.realpath(swift)).parent.parent
        wanted.append(f"{toolchain if toolchain.name != 'usr' or toolchain.parent == pathlib.Path('/') else toolchain.parent}:ro")
    for value in wanted:
        path, _, mode = value.partition(":")
        if mode not in ("", "ro", "rw"):
            raise ToolchainError(f"--bind {value}: after the colon comes ro or rw.")
        path = os.path.abspath(path)
        if not os.path.exists(path):
            raise ToolchainError(f"--bind {value}: {path} does not exist.")
        if path == "/usr" or path == "/":
            if value in binds:
                raise ToolchainError(f"--bind {value}: {path} is the tools root's own.")
            continue
        mounts.append((path, path, mode != "ro"))
    git_binds, environment = sandbox.git_binds()
    mounts += git_binds
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON} | environment
    if os.path.isdir(os.path.expanduser("~")):
        environment["HOME"] = os.path.expanduser("~")
        mounts.append((environment["HOME"], environment["HOME"], True))
    if swift and not os.path.realpath(swift).startswith("/usr/bin/"):
        environment["PATH"] = f"{pathlib.Path(os.path.realpath(swift)).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # What is bound last lies on top: the deeper path must come after the folder that it is in.
    mounts = sorted(dict.fromkeys(mounts), key=lambda mount: str(mount[1]).count("/"))
    return sandbox.command(folder / "root", words, binds=mounts, environment=environment, folder=here, host_temporary=True)

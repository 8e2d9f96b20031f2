"""The Swift SDK folder: its key, how it is made, and where things lie in it.

sdk-KEY/
  compiler-root/           the cross compiler's own root (amd64, development suite)
  bundle/haechi-arm64.artifactbundle/
    info.json, swift-sdk.json, toolset.json, sysroot/
  packages.json            every package that was used: name, version, architecture, suite, SHA-256
  libraries.json           every shared library of the sysroot and the package that it is from
"""

import hashlib
import json
import os
import pathlib

from . import archive, cache, packages, versions
from .console import ToolchainError

TRIPLE = "aarch64-unknown-linux-gnu"
SDK_NAME = "haechi-arm64"
LIBRARY_FOLDER = "usr/lib/aarch64-linux-gnu"
# Unpacked trees are larger than Installed-Size says (whole blocks for small files), and a cross build follows.
ROOM_FACTOR = 1.1

_TOOLCHAIN = pathlib.Path(__file__).resolve().parent.parent
# What decides the content of an SDK. cross-build's own code is not among it.
_INPUTS = (
    "versions",
    "packages/compiler-root",
    "packages/sysroot",
    "packages/swift-libraries",
    "haechi_toolchain/sdk.py",
    "haechi_toolchain/archive.py",
    "haechi_toolchain/packages.py",
    "haechi_toolchain/versions.py",
)


class Sdk:
    """The paths of an SDK folder that make-sdk made."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.compiler_root = self.folder / "compiler-root"
        self.bundles = self.folder / "bundle"
        self.sysroot = self.bundles / f"{SDK_NAME}.artifactbundle" / "sysroot"
        self.packages_file = self.folder / "packages.json"
        self.libraries_file = self.folder / "libraries.json"

    def is_whole(self):
        return self.packages_file.is_file() and self.compiler_root.is_dir() and self.sysroot.is_dir()


def input_key(names=_INPUTS):
    """A name for the content that the inputs lead to."""
    digest = hashlib.sha256()
    for name in names:
        content = (_TOOLCHAIN / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def make(steps):
    """The SDK for this checkout's inputs: found in the cache, or made."""
    store = cache.cache_folder()
    sdk = Sdk(store / f"sdk-{input_key()}")
    if not sdk.is_whole():
        with cache.lock(store / "make-sdk.lock", steps, "the SDK folder"):
            if not sdk.is_whole():
                _make_in(store, sdk.folder, steps)
    recorded = json.loads(sdk.packages_file.read_text(encoding="utf-8"))
    if recorded["note"]:
        steps.note(recorded["note"])
    return sdk


def _make_in(store, final, steps):
    if final.exists():
        cache.remove_tree(final)
    with cache.built_in_one_piece(final) as folder:
        downloads = store / "downloads"
        downloads.mkdir(exist_ok=True)
        expected = versions.read_expected((_TOOLCHAIN / "versions").read_text(encoding="utf-8"))
        development = steps.run(
            "index of the development suite (signed)", lambda: archive.Index.fetch(folder / "index-sid", "sid", ["amd64", "arm64"], downloads, steps)
        )
        stable = steps.run(
            "index of the stable suite (signed)", lambda: archive.Index.fetch(folder / "index-trixie", "trixie", ["arm64"], downloads, steps)
        )

        pair = versions.choose_pair(
            "swiftlang", expected["sid", "swiftlang"], development.versions("swiftlang", "amd64"), development.versions("swiftlang", "arm64")
        )
        if pair.note:
            steps.note(pair.note)
        compiler_list, sysroot_list, swift_list = (packages.load(name) for name in ("compiler-root", "sysroot", "swift-libraries"))
        compiler = development.resolve([f"{name}:amd64={pair.compiler}" if name == "swiftlang" else f"{name}:amd64" for name in compiler_list.names])
        device = stable.resolve([f"{name}:arm64" for name in sysroot_list.names])
        swift = development.resolve([f"{name}:arm64={pair.libraries}" for name in swift_list.names], with_dependencies=False)

        everything = compiler + device + swift
        cache.check_room(store, int(ROOM_FACTOR * sum(package.installed_size for package in everything)), "making the SDK")
        size = sum(package.size for package in everything)
        files = steps.run(
            f"download of {len(everything)} packages ({cache.megabytes(size)} in all, less what is here)",
            lambda: {**development.download(compiler + swift), **stable.download(device)},
        )

        sdk = Sdk(folder)
        steps.run("compiler root", lambda: _unpack_root(sdk.compiler_root, compiler_list, compiler, files))
        written = steps.run("device sysroot", lambda: _unpack_root(sdk.sysroot, sysroot_list, device, files))
        written |= steps.run("Swift libraries for the device", lambda: _add_swift_libraries(sdk.sysroot, swift_list, swift, files))
        archive.make_links_relative(sdk.sysroot)
        _prepare_compiler_root(sdk.compiler_root)
        _add_static_only_folder(sdk.sysroot)
        _write_bundle(sdk.sysroot.parent, pair.libraries)
        sdk.libraries_file.write_text(_json(_shared_libraries(sdk.sysroot, written)), encoding="utf-8")
        sdk.packages_file.write_text(
            _json(
                {
                    "note": pair.note,
                    "compiler": pair.compiler,
                    "libraries": pair.libraries,
                    "triple": TRIPLE,
                    "compiler_root": [package.record() for package in compiler],
                    "sysroot": [package.record() for package in device],
                    "swift_libraries": [package.record() for package in swift],
                }
            ),
            encoding="utf-8",
        )
        cache.remove_tree(folder / "index-sid")
        cache.remove_tree(folder / "index-trixie")


def _json(value):
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _unpack_root(root, package_list, chosen, files):
    archive.prepare_root(root)
    written = {package: archive.unpack(files[package], root, excludes=package_list.excludes) for package in chosen}
    archive.add_links(root, package_list.links)
    return written


def _add_swift_libraries(sysroot, package_list, chosen, files):
    """The compiler finds its target's modules under `usr/lib/swift` and `usr/lib/swift_static` of a sysroot, not where
    the distribution keeps them."""
    written = {
        package: archive.unpack(
            files[package],
            sysroot,
            excludes=package_list.excludes,
            members=["./usr/libexec/swift/lib/*"],
            transform="s,^\\./usr/libexec/swift/lib/,./usr/lib/,",
        )
        for package in chosen
    }
    for name in ("swift/linux", "swift_static/linux", "clang"):
        if not (sysroot / "usr/lib" / name).is_dir():
            raise ToolchainError(
                f"the package swiftlang for arm64 has no {name} where it used to be; Toolchain/haechi_toolchain/sdk.py must learn its new layout."
            )
    return written


def _prepare_compiler_root(root):
    for name in ("src", "build", "sdk", "home", "proc", "dev", "tmp", "etc"):
        (root / name).mkdir(exist_ok=True)
    if not (root / "usr/bin/swift-build").exists():
        raise ToolchainError(
            "the package swiftlang for amd64 has no usr/bin/swift-build where it used to be; "
            "Toolchain/packages/compiler-root must learn its new layout."
        )


def _add_static_only_folder(sysroot):
    """A folder that holds only archives: searched first, it makes the linker take these libraries statically."""
    folder = sysroot / "usr/lib/static-only"
    folder.mkdir()
    archives = sorted((sysroot / "usr/lib/gcc/aarch64-linux-gnu").glob("*/libstdc++.a"))
    if not archives:
        raise ToolchainError("the sysroot has no libstdc++.a; Toolchain/packages/sysroot must name the libstdc++ development package.")
    (folder / "libstdc++.a").symlink_to(os.path.relpath(archives[-1], folder))


def _write_bundle(bundle, version):
    """A Swift SDK as SE-0387 describes it: an artifact bundle with one SDK for one triple."""
    bundle.joinpath("info.json").write_text(
        _json(
            {
                "schemaVersion": "1.0",
                "artifacts": {SDK_NAME: {"type": "swiftSDK", "version": version, "variants": [{"path": "."}]}},
            }
        ),
        encoding="utf-8",
    )
    bundle.joinpath("swift-sdk.json").write_text(
        _json(
            {
                "schemaVersion": "4.0",
                "targetTriples": {
                    TRIPLE: {
                        "sdkRootPath": "sysroot",
                        "swiftResourcesPath": "sysroot/usr/lib/swift",
                        "swiftStaticResourcesPath": "sysroot/usr/lib/swift_static",
                        "toolsetPaths": ["toolset.json"],
                    }
                },
            }
        ),
        encoding="utf-8",
    )
    bundle.joinpath("toolset.json").write_text(
        _json(
            {
                "schemaVersion": "1.0",
                # No executable may look for libraries where only this SDK has them.
                "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld", "-no-toolchain-stdlib-rpath"]},
            }
        ),
        encoding="utf-8",
    )


def _shared_libraries(sysroot, written):
    """Which package each shared library of the sysroot is from, by path below the sysroot."""
    owners = {}
    for package, paths in written.items():
        for path in paths:
            path = path.removeprefix("./")
            if ".so" in os.path.basename(path):
                # A merged /usr: what a package calls lib/ lies in usr/lib/.
                owners[path if path.startswith("usr/") else f"usr/{path}"] = package.record()
    return {path: record for path, record in owners.items() if (sysroot / path).exists()}

"""The cross build: which compiler and SDK, the `swift build` command, and what is put into the output folder."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from . import cache, elf, sandbox, sdk
from .console import ToolchainError

# Position independence is the compiler's default for executables; the rest has to be asked for.
# The static Swift library asks for every symbol to be exported, and nothing looks one up: 1.3 MB of names. Relative relocations are packed
# (DT_RELR): 55,000 of 24 bytes each become 11 KB.
LINKER_OPTIONS = (
    *("--gc-sections", "--icf=safe", "-z", "relro", "-z", "now", "--build-id=sha1"),
    *("--no-export-dynamic", "-z", "pack-relative-relocs", "-O2"),
)
# Left out of what is shipped (zeros stand in their place): the compiler's name, and the tables for unwinding, half a megabyte when packed. Nothing
# unwinds: Swift has no exceptions that do, its libraries are built without C++'s, and a crash leaves the place where it happened. NAME.debug has all.
UNSHIPPED_SECTIONS = (".comment", ".eh_frame", ".eh_frame_hdr")
# How the compiler says that it cannot read the SDK's modules.
_VERSION_MISMATCH = re.compile(
    r"module compiled with Swift .* cannot be imported by the Swift .* compiler"
    r"|compiled module was created by (a different|an older|a newer) version of the compiler[^:]*"
)


@dataclasses.dataclass
class Request:
    product: str
    configuration: str
    build_tests: bool
    board: str
    variant: str
    output: pathlib.Path
    package_path: pathlib.Path
    jobs: int | None
    also_libraries: list
    # HAECHI_PRODUCT for Package.swift; empty for Sources/Product.
    haechi_product: str = ""


class MadeSdk:
    """An SDK that make-sdk made: the compiler runs in its own root, at fixed paths, so that no path of this machine
    gets into what it makes."""

    def __init__(self, folder):
        self._sdk = sdk.Sdk(folder)
        self.sysroot = self._sdk.sysroot
        self.key = self._sdk.folder.name
        self.owners = json.loads(self._sdk.libraries_file.read_text(encoding="utf-8"))
        self.sdk_options = ["--swift-sdks-path", "/sdk", "--swift-sdk", sdk.SDK_NAME]
        self.inside_sysroot = f"/sdk/{sdk.SDK_NAME}.artifactbundle/sysroot"
        self.prefix_options = []

    def prepare(self):
        sandbox.check_works(self._sdk.compiler_root)

    def swift(self, arguments, tree, package, scratch, environment):
        git_binds, git_environment = sandbox.git_binds()
        home = scratch / "home"
        home.mkdir(exist_ok=True)
        binds = [(tree, "/src", True), (scratch, "/build", True), (self._sdk.bundles, "/sdk", False), (home, "/home", True), *git_binds]
        return sandbox.command(
            self._sdk.compiler_root,
            [
                "/usr/libexec/swift/bin/swift",
                *arguments,
                "--package-path",
                str(pathlib.PurePosixPath("/src") / package),
                "--scratch-path",
                "/build/swift",
                "--cache-path",
                "/home/cache",
                "--config-path",
                "/home/config",
                "--security-path",
                "/home/security",
            ],
            binds=binds,
            environment={"HOME": "/home", "PATH": "/usr/libexec/swift/bin:/usr/bin:/bin", **git_environment, **environment},
            folder="/src",
        ), None

    def tool(self, name, arguments, folder):
        return sandbox.command(
            self._sdk.compiler_root, [f"/usr/libexec/swift/bin/{name}", *arguments], binds=[(folder, "/build", True)], folder="/build"
        )

    def from_inside(self, text, tree):
        """Paths in the compiler's messages, as this machine names them."""
        return re.sub(r"(?<![\w./-])/src/", f"{tree}/", text)


class ReadyMadeSdk:
    """An SDK that someone else made, used with the machine's own Swift, which has to be of the SDK's version."""

    def __init__(self, value, scratch_store):
        self.owners = {}
        self.key = "ready-" + hashlib.sha256(value.encode()).hexdigest()[:16]
        self._swift = shutil.which("swift")
        if not self._swift:
            raise ToolchainError("SWIFT_SDK names a ready-made SDK, which is used with this machine's swift, and none is on the PATH.")
        if value.endswith(".artifactbundle"):
            self._use_bundle(pathlib.Path(value).resolve())
        else:
            self._use_identifier(value)
        self.inside_sysroot = str(self.sysroot)
        self.prefix_options = []
        del scratch_store

    def _use_bundle(self, bundle):
        try:
            artifacts = json.loads((bundle / "info.json").read_text(encoding="utf-8"))["artifacts"]
            name, artifact = next((name, artifact) for name, artifact in artifacts.items() if artifact["type"] == "swiftSDK")
            folder = bundle / artifact["variants"][0]["path"]
            folder = folder if folder.is_dir() else folder.parent
            triples = json.loads((folder / "swift-sdk.json").read_text(encoding="utf-8"))["targetTriples"]
            self.sysroot = folder / triples[sdk.TRIPLE]["sdkRootPath"]
        except (OSError, ValueError, KeyError, IndexError, StopIteration) as error:
            raise ToolchainError(
                f"SWIFT_SDK={bundle} is not an artifact bundle with a Swift SDK for {sdk.TRIPLE} ({type(error).__name__}: {error})."
            ) from error
        self.sdk_options = ["--swift-sdks-path", str(bundle.parent), "--swift-sdk", name]

    def _use_identifier(self, identifier):
        shown = subprocess.run(
            [self._swift, "sdk", "configure", "--show-configuration", identifier, sdk.TRIPLE], capture_output=True, text=True, check=False
        )
        match = re.search(r"^\s*sdkRootPath:\s*(.+)$", shown.stdout, re.MULTILINE)
        if shown.returncode or not match:
            raise ToolchainError(
                f"SWIFT_SDK={identifier} is neither a folder nor a Swift SDK that this machine's swift knows "
                f"for {sdk.TRIPLE}; `swift sdk list` shows those that it knows."
            )
        self.sysroot = pathlib.Path(match.group(1).strip())
        self.sdk_options = ["--swift-sdk", identifier]

    def prepare(self):
        pass

    def swift(self, arguments, tree, package, scratch, environment):
        # There is no fixed path here, so the compiler is told to leave the machine's paths out.
        mapped = []
        for entry in (f"{tree}=/src", f"{scratch}=/build"):
            mapped += ["-Xswiftc", "-file-prefix-map", "-Xswiftc", entry, "-Xcc", f"-ffile-prefix-map={entry}"]
        return [self._swift, *arguments, *mapped, "--package-path", str(tree / package), "--scratch-path", str(scratch / "swift")], {
            **os.environ,
            **environment,
        }

    def tool(self, name, arguments, folder):
        beside = pathlib.Path(os.path.realpath(self._swift)).parent / name
        program = str(beside) if beside.exists() else shutil.which(name) or shutil.which(name.replace("llvm-", "aarch64-linux-gnu-"))
        if not program:
            raise ToolchainError(f"{name} is needed to strip the executable and is neither beside {self._swift} nor on the PATH.")
        return [program, *(argument.replace("/build", str(folder), 1) if argument.startswith("/build") else argument for argument in arguments)]

    def from_inside(self, text, tree):
        del tree
        return text


def find_sdk(steps, store):
    """SWIFT_SDK's SDK, or the one that this checkout makes."""
    value = os.environ.get("SWIFT_SDK")
    if not value:
        return MadeSdk(sdk.make(steps).folder)
    if sdk.Sdk(value).is_whole():
        return MadeSdk(pathlib.Path(value).resolve())
    if "/" in value and not pathlib.Path(value).exists():
        raise ToolchainError(f"SWIFT_SDK={value} does not exist.")
    return ReadyMadeSdk(value, store)


def cross_build(request, steps):
    store = cache.cache_folder()
    package_path = request.package_path.resolve()
    if not (package_path / "Package.swift").is_file():
        raise ToolchainError(f"{request.package_path} has no Package.swift; name the package's folder with --package-path.")
    tree = _tree_of(package_path)
    package = package_path.relative_to(tree)
    chosen = find_sdk(steps, store)
    chosen.prepare()

    # A folder for everything that changes how all files are compiled, so that turning from one to the other rebuilds nothing.
    scratch = store / "build" / build_folder_name(request, tree, package, chosen.key)
    scratch.mkdir(parents=True, exist_ok=True)
    # A dependency's clone and its objects for one configuration came to 0.6 GB with SwiftNIO.
    cache.check_room(scratch, 1_500_000_000, "a cross build")
    (scratch / "what.json").write_text(
        json.dumps({"tree": str(tree), "package": str(package), "board": request.board, "variant": request.variant, "sdk": chosen.key}) + "\n",
        encoding="utf-8",
    )
    with cache.lock(scratch / "lock", steps, "this build folder"):
        _forget_stale_modules(request, tree, scratch)
        steps.run("swift build", lambda: _run_swift_build(request, chosen, tree, package, scratch))
        binary = _find_binary(request, scratch)
        return steps.run("output", lambda: _put_out(request, chosen, binary, steps))


def build_folder_name(request, tree, package, sdk_key):
    """Another name for everything that changes how files are compiled."""
    kind = "tests" if request.build_tests else "product"
    parts = [str(tree), str(package), request.board, request.variant, kind, sdk_key]
    if request.haechi_product:
        parts.append(request.haechi_product)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _tree_of(package_path):
    """The whole checkout, because a package may depend on another by a path in it."""
    found = subprocess.run(["git", "-C", str(package_path), "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False)
    tree = pathlib.Path(found.stdout.strip()).resolve() if found.returncode == 0 and found.stdout.strip() else package_path
    return tree if package_path.is_relative_to(tree) else package_path


def _run_swift_build(request, chosen, tree, package, scratch):
    words = [
        "build",
        *chosen.sdk_options,
        "--configuration",
        request.configuration,
        # Else the executable would look for libraries in its own folder first.
        "--disable-local-rpath",
    ]
    if request.build_tests:
        # The testing libraries exist only as shared libraries, so everything of Swift's is shared in a test runner.
        words += ["--build-tests", "--no-static-swift-stdlib"]
    else:
        words += ["--product", request.product, "--static-swift-stdlib", "--disable-index-store"]
    if request.jobs:
        words += ["--jobs", str(request.jobs)]
    words += ["-Xlinker", f"-L{chosen.inside_sysroot}/usr/lib/static-only"]
    # Times of header files are not part of what is built: they would get into the debug information by way of the
    # compiled C modules, and from there into the build identifier. _forget_stale_modules does their other work.
    words += ["-Xcc", "-Xclang", "-Xcc", "-fno-pch-timestamp"]
    for option in LINKER_OPTIONS:
        words += ["-Xlinker", option]
    environment = {
        "HAECHI_DEVICE": "1",
        "HAECHI_BOARD": request.board,
        "HAECHI_VARIANT": request.variant,
        # Set even when empty: what the caller's own environment says must not get into an image.
        "HAECHI_PRODUCT": request.haechi_product,
        # The time that C sources would put into an object: always the same.
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "1"),
    }
    command, process_environment = chosen.swift(words, tree, package, scratch, environment)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=process_environment) as process:
        mismatch, disk_full = "", False
        for line in process.stdout:
            # The static Swift library was made by `ld -r`, which loses the table that --icf=safe asks for: those
            # objects are simply not folded, and a thousand lines would hide the messages that matter.
            if "conservatively ignores SHT_LLVM_ADDRSIG" in line:
                continue
            line = chosen.from_inside(line, tree)
            sys.stderr.write(line)
            sys.stderr.flush()
            if "No space left on device" in line:
                disk_full = True
            found = _VERSION_MISMATCH.search(line)
            if found:
                mismatch = found.group().rstrip(": ")
        status = process.wait()
    if status:
        if disk_full:
            raise ToolchainError(
                f"the disk of {scratch} became full during the build; free some space or set HAECHI_CACHE to a folder on a larger disk."
            )
        if mismatch:
            raise ToolchainError(
                f"the compiler and the SDK's libraries are of different versions ({mismatch}); use the Swift that the SDK was made for."
            )
        what = "the tests" if request.build_tests else f"the product {request.product}"
        raise ToolchainError(f"swift build could not build {what} (exit status {status}); its messages are above.")


def _forget_stale_modules(request, tree, scratch):
    """Removes the compiled C modules when a header, a module map or the package's manifest has changed. They carry no
    file times here, and by its size alone the compiler does not see every change of a header."""
    digest = hashlib.sha256()
    for name in sorted(_headers_and_manifests(tree)):
        path = tree / name
        if path.is_file():
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    stamp = scratch / f"headers-{request.configuration}"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != digest.hexdigest():
        modules = scratch / "swift" / sdk.TRIPLE / request.configuration / "ModuleCache"
        if modules.exists():
            cache.remove_tree(modules)
        stamp.write_text(digest.hexdigest(), encoding="utf-8")


def _headers_and_manifests(tree):
    """Paths below the tree. What git ignores is left out (images and kernel trees have many headers), but for the versions
    that were resolved."""
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.h", "*.modulemap", "*Package.swift"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = {name for name in listed.stdout.split("\0") if name}
        return names | {str(pathlib.PurePosixPath(name).parent / "Package.resolved") for name in names if name.endswith("Package.swift")}
    names = set()
    for parent, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names |= {
            os.path.relpath(os.path.join(parent, name), tree)
            for name in files
            if name.endswith((".h", ".modulemap")) or name in ("Package.swift", "Package.resolved")
        }
    return names


def _find_binary(request, scratch):
    folder = scratch / "swift" / sdk.TRIPLE / request.configuration
    if not request.build_tests:
        binary = folder / request.product
        if not binary.is_file():
            raise ToolchainError(f"the product {request.product} is not an executable: swift build made no file of that name.")
        return binary
    runners = sorted(folder.glob("*.xctest"))
    if request.product:
        runners = [runner for runner in runners if runner.stem == request.product]
    if len(runners) != 1:
        names = ", ".join(runner.stem for runner in runners) or "none"
        raise ToolchainError(f"one test runner was expected for --build-tests and there are: {names}; name one with --product.")
    return runners[0]


def _put_out(request, chosen, binary, steps):
    name = request.product or binary.stem
    request.output.mkdir(parents=True, exist_ok=True)
    output = request.output.resolve()
    unstripped, stripped = output / f"{name}.debug", output / name
    unstripped.unlink(missing_ok=True)
    stripped.unlink(missing_ok=True)
    shutil.copyfile(binary, unstripped)
    unstripped.chmod(0o755)
    options = ["--strip-all", *(f"--remove-section={section}" for section in UNSHIPPED_SECTIONS)]
    strip = chosen.tool("llvm-objcopy", [*options, f"/build/{unstripped.name}", f"/build/{name}"], output)
    result = subprocess.run(strip, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ToolchainError(f"{unstripped} could not be stripped: {result.stderr.strip()}.")
    check_hardened(elf.read(stripped))

    folders = [chosen.sysroot / folder for folder in (sdk.LIBRARY_FOLDER, "usr/lib", "usr/lib/swift/linux", "lib")]
    libraries = elf.resolve(stripped, folders, request.also_libraries)
    target = output / "libs"
    if target.exists():
        cache.remove_tree(target)
    target.mkdir()
    records = []
    for soname, library in sorted(libraries.items()):
        shutil.copyfile(library.path, target / soname)
        (target / soname).chmod(0o755)
        owner = _owner(chosen, library.path)
        records.append(
            {
                "file": soname,
                "size": (target / soname).stat().st_size,
                "sha256": hashlib.sha256((target / soname).read_bytes()).hexdigest(),
                "package": owner.get("name"),
                "version": owner.get("version"),
                "architecture": owner.get("architecture"),
                "suite": owner.get("suite"),
                "package_sha256": owner.get("sha256"),
            }
        )
        if not owner:
            steps.note(f"{soname} is from a ready-made SDK: libs.json cannot name its package")
    program = elf.read(stripped)
    (output / "libs.json").write_text(
        json.dumps(
            {
                "executable": {"file": name, "size": stripped.stat().st_size, "sha256": hashlib.sha256(stripped.read_bytes()).hexdigest()},
                "interpreter": program.interpreter,
                "libraries": records,
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
    total = sum(record["size"] for record in records)
    steps.note(f"{stripped}: {stripped.stat().st_size:,} bytes stripped; {len(records)} libraries, {total:,} bytes")
    return stripped


def _owner(chosen, path):
    """The package of a library: by the name that was asked for, or by the file that this name leads to."""
    for candidate in (path, path.resolve()):
        if candidate.is_relative_to(chosen.sysroot):
            owner = chosen.owners.get(str(candidate.relative_to(chosen.sysroot)))
            if owner:
                return owner
    return {}


def check_hardened(program):
    """What was asked of the linker, seen in its result."""
    missing = [
        text
        for good, text in (
            (program.machine == elf.EM_AARCH64, "code for AArch64"),
            (program.is_position_independent, "position independence"),
            (program.has_relro, "a read-only relocation segment"),
            (program.binds_now, "binding at start"),
            (not program.has_executable_stack, "a stack that cannot be executed"),
            (not program.run_paths, "an empty library search path"),
        )
        if not good
    ]
    if missing:
        raise ToolchainError(f"{program.path.name} was linked without {', '.join(missing)}.")

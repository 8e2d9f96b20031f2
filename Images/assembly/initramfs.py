"""What goes into an initramfs: `haechid` as /init, the libraries that it links, data; in debug images a shell besides."""

from . import cpio, elf, volume

# Where the supervisor mounts things; nothing else of a Unix tree exists.
MOUNT_POINTS = ("dev", "proc", "sys", "run")
LIBRARY_FOLDER = "lib"
# The name that every AArch64 program gives its interpreter (AArch64 ELF supplement).
INTERPRETER = "/lib/ld-linux-aarch64.so.1"
MAKER_CA_PATH = "etc/haechi/maker-ca.der"
BUILD_PATH = "etc/haechi/build"


class InitramfsError(Exception):
    """One sentence that says which file is wrong and what to do."""


def build_text(values):
    """The text of /etc/haechi/build: one key=value on a line, in the given order."""
    for key, value in values.items():
        if "\n" in str(value) or "=" in key:
            raise InitramfsError(f"the build value {key} holds a line break or an equals sign")
    return "".join(f"{key}={value}\n" for key, value in values.items()).encode()


def linked_libraries(program, libraries):
    """{soname: bytes} of what the program links or opens, checked: its machine, its interpreter's path, nothing left over."""
    try:
        parsed = elf.parse(program, "init")
        if parsed.machine != elf.MACHINE_AARCH64:
            raise InitramfsError("init is not an AArch64 program: cross-build it")
        if parsed.interpreter not in ("", INTERPRETER):
            raise InitramfsError(f"init names the interpreter {parsed.interpreter}; the image has {INTERPRETER}")
        wanted = elf.reached(program, libraries, "init")
    except elf.ElfError as error:
        raise InitramfsError(str(error)) from error
    unused = sorted(libraries.keys() - wanted)
    if unused:
        raise InitramfsError(f"nothing links or names {', '.join(unused)}: leave it out of the libraries' folder")
    return libraries


def entries(program, libraries, build, maker_ca, file_system, authorities, *, shell=None, additions=()):
    """The archive's entries.

    `libraries` maps sonames to bytes, `file_system` is a template of the data volume's, `authorities` (path, bytes) say what
    opens its keys, `shell` a static busybox, `additions` are (path, bytes).
    """
    result = [cpio.directory(point) for point in MOUNT_POINTS]
    result += [cpio.regular("init", program, 0o755), cpio.directory("etc"), cpio.directory("etc/haechi")]
    result += [cpio.regular(BUILD_PATH, build), cpio.regular(MAKER_CA_PATH, maker_ca), cpio.regular(volume.PATH, file_system)]
    result += [cpio.regular(path, data) for path, data in authorities]
    if libraries:
        result.append(cpio.directory(LIBRARY_FOLDER))
        result += [cpio.regular(f"{LIBRARY_FOLDER}/{soname}", data, 0o755) for soname, data in libraries.items()]
    if shell is not None:
        # PID 1's first three descriptors come from this node; a release kernel has no console to open.
        result += [cpio.character_device("dev/console", 5, 1)]
        result += [cpio.directory("bin"), cpio.regular("bin/busybox", shell, 0o755), cpio.symbolic_link("bin/sh", "busybox")]
    known = {entry.path for entry in result}
    for path, data in additions:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in known:
                known.add(folder)
                result.append(cpio.directory(folder))
        result.append(cpio.regular(path, data, 0o755))
    return result

"""What is booted: each system's kernel with its initramfs, made here, and how its memory is asked for."""

import dataclasses
import functools
import hashlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from . import build
from .boot_lab import ADDRESS, ROOT, LabError

IMAGES = ROOT / "Images"
PEERS = ROOT / "Benchmarks/peers/boot"
sys.path[:0] = [str(IMAGES), str(ROOT / "Tests/Device")]

from assembly import cpio, zboot  # noqa: E402 - Images' own modules
from machine import Machine  # noqa: E402 - the booted image of Tests/Device

HAECHI, GO, FLOOR, DEBIAN = "Haechi", "Go", "floor (C)", "Debian, nginx"
CACHE = Path(os.environ.get("HAECHI_CACHE") or Path.home() / ".cache/haechi")
VARIANTS = ("release", "debug")
# Its whole start, in emulation.
DEBIAN_PATIENCE_S = 1200
NOTE_SIZE = "Debian: kernel and initrd, packed, and the files of its root as they lie on the disk."


@dataclasses.dataclass
class System:
    """`kernels`: by the kernel's variant. `credentials`: the client's certificate and key; none where there is no TLS."""

    kernels: dict
    file_bytes: int
    credentials: tuple = ()
    memory_mib: int = 256
    extra: tuple = ()


@functools.cache
def image(variant):
    """The folder of Haechi's own image, whose board, disk and command line everyone gets; made once in a run."""
    folder = IMAGES / f"out/qemu-virt-{variant}"
    if not (build.reuses and (folder / "manifest.json").exists()):
        run(IMAGES / "make-image", "--variant", variant, "--board", "qemu-virt")
    return folder


def make(folder):
    """Everybody, by name, Haechi first. `folder` gets what is made for this run alone."""
    images = {variant: image(variant) for variant in VARIANTS}
    maker = Path(run(IMAGES / "make-maker-ca").splitlines()[-1])
    _certificates(folder)
    files = {name: (folder / name).read_bytes() for name in ("server.pem", "server.key", "authority.pem")}
    client = (folder / "client.pem", folder / "client.key")
    go = firmware(folder, "go", _go(folder), files)
    floor = firmware(folder, "floor", _floor(folder), {})
    return {
        HAECHI: System(
            {variant: _plain(path / "firmware.efi", folder / f"haechi-{variant}") for variant, path in images.items()},
            (images["release"] / "firmware.efi").stat().st_size, (maker / "station.pem", maker / "station.key"),
        ),
        GO: System(*go, client),
        FLOOR: System(*floor),
        DEBIAN: _debian(folder, client),
    }  # fmt: skip


def run(*command, **options):
    """Runs a command and returns its standard output, stripped."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise LabError(f"{' '.join(str(word) for word in command)} ended with {done.returncode}: see its words above")
    return done.stdout.strip()


def _plain(firmware, output):
    """The kernel image in a firmware file, unpacked once instead of at every start."""
    output.write_bytes(zboot.unpack(firmware.read_bytes()))
    return output


def _certificates(folder):
    """An authority, a server and a client: P-256, as Haechi's are, but with the usual extensions (Go reads no arcs over 31 bits)."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    quiet = {"cwd": folder, "stderr": subprocess.DEVNULL}
    run("openssl", "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=boot authority", **quiet)
    for name, extension in (("server", f"subjectAltName=IP:{ADDRESS}"), ("client", "extendedKeyUsage=clientAuth")):
        by = ("-CA", "authority.pem", "-CAkey", "authority.key")
        requested = ("openssl", "req", *key[:-2], "-keyout", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        run(*requested, **quiet)
        (folder / "extensions").write_text(f"basicConstraints=critical,CA:FALSE\n{extension}\n")
        run(
            "openssl", "x509", "-req", "-in", f"{name}.csr", *by, "-CAcreateserial", "-days", "30", "-extfile", "extensions", "-out",
            f"{name}.pem", **quiet,
        )  # fmt: skip


def _go(folder):
    environment = build.go_environment(folder) | {"GOOS": "linux", "GOARCH": "arm64"}
    run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", folder / "go-peer", ".", cwd=PEERS / "go", env=environment)
    return (folder / "go-peer").read_bytes()


def _floor(folder):
    options = ("-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror")
    run("aarch64-linux-gnu-gcc", *options, "-o", folder / "floor-peer", PEERS / "floor/init.c")
    return (folder / "floor-peer").read_bytes()


def firmware(folder, name, program, files, variants=VARIANTS):
    """(kernels by variant, size of the first one's firmware file): the program as /init in the same kernel as Haechi's, packed the same way."""
    # Go opens the null device for what it was started without.
    entries = [cpio.directory("dev"), cpio.directory("proc"), cpio.character_device("dev/null", 1, 3, 0o666)]
    entries += [cpio.regular("init", program, 0o755), *(cpio.regular(path, data) for path, data in files.items())]
    archive = folder / f"{name}.cpio"
    archive.write_bytes(cpio.write(entries))
    kernels = {}
    for variant in variants:
        packed = folder / f"{name}-{variant}.efi"
        made = ("--variant", variant, "--board", "qemu-virt", "--initramfs", archive, "--output", packed)
        run(IMAGES / "make-kernel", *made)
        kernels[variant] = _plain(packed, folder / f"{name}-{variant}")
    return kernels, (folder / f"{name}-{variants[0]}.efi").stat().st_size


def _debian(folder, client):
    """Made once and kept: its packages' scripts run in emulation, for minutes. Only its certificates are those of the first run."""
    key = hashlib.sha256((PEERS / "debian/make").read_bytes()).hexdigest()[:16]
    kept = CACHE / f"bench/debian-{key}"
    if not (kept / "disk.img").exists():
        kept.mkdir(parents=True, exist_ok=True)
        for path in client:
            (kept / path.name).write_bytes(path.read_bytes())
        run(PEERS / "debian/make", folder / "server.pem", folder / "server.key", folder / "authority.pem", kept)
    used = int(re.search(r"\d+", (kept / "root-bytes").read_text())[0])
    size = (kept / "vmlinuz").stat().st_size + (kept / "initrd.img").stat().st_size + used
    disk = ("-drive", f"if=none,id=root0,format=raw,snapshot=on,file={kept / 'disk.img'}", "-device", "virtio-blk-pci,drive=root0")
    start = ("-initrd", str(kept / "initrd.img"), "-append", "root=LABEL=peer rw quiet")
    return System({"release": kept / "vmlinuz"}, size, (kept / client[0].name, kept / client[1].name), 512, (*disk, *start))


def haechi_memory():
    """/proc/meminfo of a booted debug image and the runtime's /proc/PID/status, asked in its rescue shell."""
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens(deadline_s=600)
        return machine.shell("cat /proc/meminfo; for p in /proc/[0-9]*; do grep -q haechi-runtime $p/comm && cat $p/status; done", 240)


def debian_memory(system):
    """What figures.service in Debian says on the serial line."""
    command = ("qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a53", "-m", str(system.memory_mib), "-nodefaults", "-display", "none")
    command += ("-kernel", str(system.kernels["release"]), *system.extra, "-serial", "stdio", "-nic", "user,model=virtio-net-pci")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        text, end = "", threading.Timer(DEBIAN_PATIENCE_S, machine.terminate)
        end.start()
        try:
            while "end-figures" not in text:
                line = machine.stdout.readline()
                if not line:
                    raise LabError(f"Debian ended, or had {DEBIAN_PATIENCE_S} s, and did not say what memory it uses; its last words: {text[-1000:]}")
                text += line.replace("\r", "")
        finally:
            end.cancel()
            machine.terminate()
        return text.partition("begin-figures")[2]

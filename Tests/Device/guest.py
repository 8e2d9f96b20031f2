"""Somebody's PC: stock Debian for arm64 in QEMU, with nothing of ours but keys to try on disks.

The kernel, its modules, cryptsetup and the shell are the stable suite's packages, unpacked and not installed; what runs is a script of this
file's. Made once and kept in the cache.
"""

import hashlib
import lzma
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import ROOT

sys.path[:0] = [str(ROOT / "Toolchain"), str(ROOT / "Images")]
from assembly import cpio  # noqa: E402
from haechi_toolchain import archive, cache, console, elf  # noqa: E402

SUITE = "trixie"
PACKAGES = ("busybox-static", "cryptsetup-bin", "linux-image-arm64")
# What is not built into the suite's kernel, by the modules' own names; what each needs is found in it.
MODULES = ("virtio_pci", "virtio_blk", "dm_crypt", "xts", "aes_ce_blk", "aes_neon_bs", "ext4", "crc32c_generic")
LIBRARIES = ("usr/lib", "lib/aarch64-linux-gnu")
PATIENCE_S = 300

# The console is QEMU's standard output; each line of ours begins with a mark, as the kernel speaks there too.
INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run/cryptsetup /mnt
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do /bin/busybox insmod "$module" 2>/dev/null; done </modules/order
export PATH=/sbin:/bin DM_DISABLE_UDEV=1
wanted=$(/bin/busybox cat /keys/count)
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(/bin/busybox ls /sys/block | /bin/busybox grep -c '^vd')" = "$wanted" ] && break; /bin/busybox sleep 1; done
for data in $(/bin/busybox grep -l '^PARTNAME=data$' /sys/class/block/vd*/uevent); do
  name=${data#/sys/class/block/}
  name=${name%/uevent}
  partition=/dev/$name
  serial=$(/bin/busybox cat "/sys/block/${name%%[0-9]*}/serial")
  echo "guest: $serial slots $(/sbin/cryptsetup luksDump "$partition" 2>&1 | /bin/busybox grep -c '^  [0-9]*: luks2')"
  for key in /keys/key-*; do
    name=${key#/keys/key-}
    if /sbin/cryptsetup open --type luks2 --readonly --tries 1 --key-file "$key" "$partition" opened 2>/run/said; then
      /bin/busybox mount -t ext4 -o ro,noload /dev/mapper/opened /mnt || echo "guest: $serial does not mount"
      echo "guest: $serial $name opens $(/bin/busybox sha256sum /mnt/state/owner.json 2>&1)"
      /bin/busybox umount /mnt
      /sbin/cryptsetup close opened
    else
      echo "guest: $serial $name refused $(/bin/busybox tr '\\n' ' ' </run/said)"
    fi
  done
done
echo "guest: end"
/bin/busybox poweroff -f
"""


def _folder() -> Path:
    inputs = (Path(__file__).read_bytes(), (ROOT / "Images/assembly/cpio.py").read_bytes())
    return cache.cache_folder() / f"guest-{hashlib.sha256(b''.join(inputs)).hexdigest()[:16]}"


def make() -> Path:
    """The folder with `vmlinuz` and `initrd` of the guest: found in the cache, or made."""
    final, steps = _folder(), console.Steps()
    if not final.is_dir():
        with cache.lock(cache.cache_folder() / "guest.lock", steps, "the guest"):
            if not final.is_dir():
                _make_in(final, steps)
    return final


def _make_in(final: Path, steps):
    store = cache.cache_folder()
    downloads = store / "downloads"
    downloads.mkdir(exist_ok=True)
    with cache.built_in_one_piece(final) as folder:
        index = archive.Index.fetch(folder / "index", SUITE, ["arm64"], downloads, steps)
        files = index.download(chosen := index.resolve([f"{name}:arm64" for name in PACKAGES]))
        root = folder / "root"
        archive.prepare_root(root)
        for package in chosen:
            archive.unpack(files[package], root, excludes=("./usr/share/*",))
        (kernel,) = root.glob("boot/vmlinuz-*")
        (folder / "vmlinuz").write_bytes(kernel.read_bytes())
        (folder / "initrd").write_bytes(cpio.write(_entries(root)))
        cache.remove_tree(root)
        cache.remove_tree(folder / "index")


def _entries(root: Path) -> list:
    files = {"init": (INIT.encode(), 0o755)}
    programs = {"bin/busybox": root / "usr/bin/busybox", "sbin/cryptsetup": root / "usr/sbin/cryptsetup"}
    for place, program in programs.items():
        files[place] = (program.read_bytes(), 0o755)
        for name, library in elf.resolve(program, [root / folder for folder in LIBRARIES]).items():
            # The interpreter has one name on every system of the architecture.
            folder = "lib" if name.startswith("ld-linux") else LIBRARIES[1]
            files[f"{folder}/{name}"] = (library.path.read_bytes(), 0o755)
    files |= _modules(root)
    folders = {str(parent) for place in [*files, "keys/x"] for parent in Path(place).parents} - {"."}
    console_device = cpio.character_device("dev/console", 5, 1)
    return [
        *(cpio.directory(path) for path in sorted(folders | {"dev"})),
        console_device,
        *(cpio.regular(place, data, mode) for place, (data, mode) in files.items()),
    ]


def _modules(root: Path) -> dict:
    """The modules, unpacked, and the order that they are put into the kernel in. What is not there is built in, or of another architecture."""
    there = {path.name.split(".")[0].replace("-", "_"): path for path in root.glob("usr/lib/modules/*/kernel/**/*.ko*")}
    unpacked, order = {}, []

    def add(name: str):
        if name in unpacked or name not in there:
            return
        data = there[name].read_bytes()
        unpacked[name] = lzma.decompress(data) if there[name].suffix == ".xz" else data
        needs = re.search(rb"\0depends=([^\0]*)\0", unpacked[name])
        for need in needs[1].decode().split(",") if needs else []:
            add(need.replace("-", "_"))
        order.append(name)

    for name in MODULES:
        add(name)
    files = {f"modules/{name}.ko": (unpacked[name], 0o644) for name in order}
    files["modules/order"] = ("".join(f"/modules/{name}.ko\n" for name in order).encode(), 0o644)
    return files


def try_keys(disks: dict[str, Path], keys: dict[str, str]) -> dict[str, dict[str, str]]:
    """Boots the guest with disks that it only reads, and returns what it said of each key on each: `opens …` or `refused …`, and how many `slots`."""
    guest = make()
    with tempfile.TemporaryDirectory(prefix="haechi-guest-") as folder:
        files = {"count": str(len(disks)), **{f"key-{name}": key for name, key in keys.items()}}
        initrd = Path(folder) / "initrd"
        # The kernel unpacks one archive after the other.
        more = cpio.write([cpio.directory("keys"), *(cpio.regular(f"keys/{name}", text.encode(), 0o600) for name, text in files.items())])
        initrd.write_bytes((guest / "initrd").read_bytes() + more)
        command = [
            "qemu-system-aarch64",
            "-machine",
            "virt",
            "-accel",
            "tcg",
            "-cpu",
            "max,pauth-impdef=on",
            "-m",
            "512",
            "-nodefaults",
            "-nographic",
        ]
        command += [
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
            str(guest / "vmlinuz"),
            "-initrd",
            str(initrd),
            "-append",
            "console=ttyAMA0 quiet panic=-1",
        ]
        for name, disk in disks.items():
            command += ["-drive", f"if=none,id={name},format=raw,readonly=on,file={disk}", "-device", f"virtio-blk-pci,drive={name},serial={name}"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the guest did not end: {(error.stdout or b'')[-3000:].decode(errors='replace')}") from None
    text = done.stdout.decode(errors="replace")
    if "guest: end" not in text:
        raise AssertionError(f"the guest did not come to its end: {text[-3000:]}{done.stderr.decode(errors='replace')}")
    said = {name: {} for name in disks}
    for disk, what, words in re.findall(r"guest: (\S+) (\S+) (.*)", text):
        said[disk][what] = words.strip()
    return said

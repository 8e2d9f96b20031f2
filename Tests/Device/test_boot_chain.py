"""UEFI Secure Boot with a TPM: the signed file boots, nothing else does, and nothing beside it has a say (T12)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import ROOT, Machine, wait_for
from owner import Owner

IMAGE = ROOT / "Images/out/qemu-virt-release"


def boot_partitions(disk: Path) -> list[int]:
    """Byte offsets of the boot partitions."""
    table = subprocess.check_output(["sgdisk", "--print", disk], text=True)
    rows = [line.split() for line in table.splitlines() if line.rstrip().endswith(("boot-a", "boot-b"))]
    offsets = [int(row[1]) * 512 for row in rows]
    assert len(offsets) == 2
    return offsets


@pytest.fixture
def copy(tmp_path) -> Path:
    """The image's folder, copied so that it can be tampered with."""
    target = tmp_path / "image"
    subprocess.run(["cp", "-a", "--sparse=always", "--reflink=auto", IMAGE, target], check=True)
    return target


def put(image: Path, source: Path, name: str):
    """Writes a file onto both boot file systems, making its folders."""
    for offset in boot_partitions(image / "disk.img"):
        fat = f"{image / 'disk.img'}@@{offset}"
        folders = Path(name).parent.parts
        for depth in range(1, len(folders) + 1):
            subprocess.run(["mmd", "-D", "s", "-i", fat, "::" + "/".join(folders[:depth])], capture_output=True)
        subprocess.run(["mcopy", "-o", "-i", fat, source, "::" + name], check=True, capture_output=True)


def test_the_image_answers_through_secure_boot_with_a_tpm():
    with Machine("release", boot="uefi", tpm=True, mem=128) as machine:
        owner = Owner(machine.wait_until_it_listens(300)).provision_and_claim()
        trust = owner.json("status")["rootOfTrust"]
        assert trust["kind"] == "tpm2"
        assert len(trust["secureBootState"]) == 64 and set(trust["secureBootState"]) != {"0"}
        owner.run("set", "relay", "on")


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("part", ["header", "kernel", "initramfs", "signature", "unsigned", "debug-signed"])
def test_a_changed_or_unsigned_firmware_does_not_boot(copy, part, tmp_path):
    firmware = (copy / "firmware.efi").read_bytes()
    target = tmp_path / "changed.efi"
    if part == "unsigned":
        shutil.copy(copy / "firmware.efi", target)
        subprocess.run(["sbattach", "--remove", target], check=True, capture_output=True)
    elif part == "debug-signed":
        shutil.copy(ROOT / "Images/out/qemu-virt-debug/firmware.efi", target)
    else:
        where = {"header": 0x200, "kernel": len(firmware) // 4, "initramfs": len(firmware) * 3 // 4, "signature": len(firmware) - 200}
        target.write_bytes(flip(firmware, where[part]))
    put(copy, target, "EFI/BOOT/BOOTAA64.EFI")
    with Machine("release", image=copy, boot="uefi") as machine:
        wait_for("UEFI to refuse", lambda: b"Access Denied" in machine.serial() or b"Security Violation" in machine.serial(), 180)
        assert not machine.listens()


def test_files_planted_beside_the_firmware_have_no_effect(copy, tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"rdinit=/nowhere console=ttyAMA0\n")
    for name in (
        "EFI/BOOT/BOOTAA64.EFI.extra.d/evil.cred",
        "EFI/BOOT/BOOTAA64.EFI.extra.d/evil.addon.efi",
        "loader/credentials/evil.cred",
        "loader/addons/evil.addon.efi",
        "loader/loader.conf",
        "initrd.img",
        "cmdline.txt",
        "startup.nsh",
    ):
        put(copy, junk, name)
    # No SMBIOS entry and no fw_cfg file may have a say either.
    extra = (
        "-smbios",
        "type=11,value=io.systemd.stub.kernel-cmdline-extra=rdinit=/nowhere",
        "-fw_cfg",
        "name=opt/org.tianocore/cmdline,string=evil",
    )
    with Machine("release", image=copy, boot="uefi", extra=extra) as machine:
        machine.wait_until_it_listens(300)
        text_of_our_image = [line for line in machine.serial().splitlines() if b"Linux" in line or b"haechi" in line.lower()]
        assert text_of_our_image == []
        Owner(machine).provision()


def load_option(description: str, path: str, data: bytes) -> bytes:
    """An EFI_LOAD_OPTION (UEFI 2.10 section 3.1.3) for a file on whatever disk has it, with load options."""
    name = (path + "\0").encode("utf-16-le")
    # One file path node (type 4, subtype 4) and the end of the path (section 10.3).
    node = bytes([4, 4]) + (len(name) + 4).to_bytes(2, "little") + name + bytes([0x7F, 0xFF, 4, 0])
    active = 1
    return active.to_bytes(4, "little") + len(node).to_bytes(2, "little") + (description + "\0").encode("utf-16-le") + node + data


def test_load_options_of_a_planted_boot_entry_have_no_effect(copy, tmp_path):
    options = "rdinit=/nowhere init=/nowhere initrd=\\initrd.img console=ttyAMA0 earlycon\0".encode("utf-16-le")
    entry = load_option("planted", "\\EFI\\BOOT\\BOOTAA64.EFI", options)
    efi_global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    variables = [
        {"name": "Boot0099", "guid": efi_global, "attr": 7, "data": entry.hex()},
        {"name": "BootOrder", "guid": efi_global, "attr": 7, "data": "9900"},
    ]
    planted = tmp_path / "planted.json"
    planted.write_text(json.dumps({"version": 2, "variables": variables}))
    store = copy / "vars.fd"
    command = ["virt-fw-vars", "--input", store, "--output", tmp_path / "vars.fd", "--set-json", planted]
    subprocess.run([ROOT / "Toolchain/in-tools", "--bind", tmp_path, *command], check=True, capture_output=True)
    shutil.copy(tmp_path / "vars.fd", store)
    with Machine("release", image=copy, boot="uefi") as machine:
        machine.wait_until_it_listens(300)
        # UEFI says itself that it took the planted entry; our image, started by it, says nothing.
        assert b"Boot0099" in machine.serial()
        assert b"Linux" not in machine.serial()
        Owner(machine).provision()


def test_the_last_words_of_a_crashed_kernel_are_told_once_and_removed():
    with Machine("debug", boot="uefi", tpm=True, serial_on_stdio=True) as machine:
        machine.wait_until_it_listens(300)
        # The kernel is told to end where memory does, and memory ends.
        machine.type("echo 2 > /proc/sys/vm/panic_on_oom; tail /dev/zero\n")
        told = "the kernel crashed: Kernel panic - not syncing: Out of memory"
        wait_for("the kernel's last words", lambda: told in machine.serial_text, 300)
        machine.wait_until_it_listens(300)
        assert machine.shell("ls /sys/fs/pstore") == ""
        # A list of the firmware's variables shows what was there when it was mounted: the next start's tells.
        boots = machine.serial_text.count("boot crash-records")
        machine.type("reboot -f\n")
        wait_for("the next start", lambda: machine.serial_text.count("boot crash-records") > boots, 300)
        machine.wait_until_it_listens(300)
        assert machine.serial_text.count(told) == 1
        assert machine.shell("ls /sys/firmware/efi/efivars | grep dump-type") == ""

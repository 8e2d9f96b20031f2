"""Which firmware a disk opens for, and which copies of it: the next firmware, and none that is older, foreign or started in another way."""

import json
import subprocess
from pathlib import Path

import pytest
from campaign import campaign
from machine import ROOT, Machine, copy_device, install
from owner import Owner
from partition import graft

RELEASE = ROOT / "Images/out/qemu-virt-release"
CUTS, CUTS_OF_TORTURE = 8, 60


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """The next firmware of the same maker, of security epoch 2."""
    image = tmp_path_factory.mktemp("later") / "image"
    make = [ROOT / "Images/make-image", "--variant", "release", "--board", "qemu-virt", "--security-epoch", "2", "--output", image]
    subprocess.run(make, check=True, capture_output=True)
    assert json.loads((image / "manifest.json").read_text())["seal"]["security_epoch"] == 2
    return image


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An owned device as its folder; each test takes a copy."""
    device = tmp_path_factory.mktemp("owned") / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
        machine.qmp("quit")
        machine.process.wait(30)
    return device, owner


def start(owner: Owner, device: Path, image: Path = RELEASE, **options) -> Machine:
    install(device, image)
    return owner.boot_again(device, image=image, **options)


def is_whole(owner: Owner) -> bool:
    status = owner.json("status")
    return status["state"] == "owned" and status["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}


def damage(owner: Owner, device, **options) -> str:
    """Why a device that is started so serves nobody."""
    with start(owner, device, **options) as machine:
        machine.wait_until_it_listens(300)
        assert owner.run("status", check=False).returncode != 0
        info = owner.station_info()
        assert info["lifeCycleState"] == "damaged"
        return info["damage"]


def test_the_next_firmware_opens_the_disk_and_from_then_on_no_older_one(original, later, tmp_path):
    device, owner = copy_device(original[0], tmp_path / "device"), original[1]
    with start(owner, device, later) as machine:
        machine.wait_until_it_listens()
        assert is_whole(owner)
        machine.cut_power()
    said = damage(owner, device)
    assert "asks for security epoch 2, and this is an older firmware, of epoch 1" in said
    # Nothing was lost by that.
    with start(owner, device, later) as machine:
        machine.wait_until_it_listens()
        assert is_whole(owner)


def test_a_cut_in_the_next_firmwares_first_start_loses_nothing(original, later, tmp_path, dice, torture):
    device = copy_device(original[0], tmp_path / "device")
    install(device, later)

    def check(owner, machine, cut):
        assert is_whole(owner)
        return f"the TPM in state {[span.state for span in cut.recording.beside].index(cut.beside)}"

    cuts = CUTS_OF_TORTURE if torture else CUTS
    ends = campaign(device, original[1], tmp_path, dice, cuts, cuts, None, check, image=later)
    # Before the counter rose, and after it.
    assert not torture or len(ends) > 1, ends


def test_debug_firmware_does_not_open_a_release_devices_disk(original, tmp_path):
    device, owner = copy_device(original[0], tmp_path / "device"), original[1]
    image = ROOT / "Images/out/qemu-virt-debug"
    assert "sealed for the firmware of another maker or variant" in damage(owner, device, image=image)


def test_a_copy_of_the_data_from_an_earlier_start_is_refused(original, tmp_path):
    device, owner = copy_device(original[0], tmp_path / "device"), original[1]
    with start(owner, device) as machine:
        machine.wait_until_it_listens()
        owner.run("member", "add", "dora", "--role", "viewer")
        owner.run("member", "revoke", "dora")
        machine.cut_power()
    graft(original[0] / "disk.img", device / "disk.img")
    assert "the partition data is an older copy" in damage(owner, device)


def test_a_disk_of_a_machine_that_uefi_started_opens_for_no_machine_without_it(tmp_path):
    device = tmp_path / "device"
    device.mkdir()
    with Machine("release", boot="uefi", tpm=True, device=device) as machine:
        owner = Owner(machine.wait_until_it_listens(300)).provision_and_claim()
        # What the image was signed for is what its machine has.
        signed = json.loads((machine.image / "manifest.json").read_text())["seal"]["states"]
        measured = owner.json("status")["rootOfTrust"]["secureBootState"]
        assert measured in [state["pcr7"] for state in signed if state["boot"] == "uefi"]
    assert "UEFI started, and this one was started without it" in damage(owner, device)

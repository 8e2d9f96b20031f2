"""A wipe (T16): what is left of an owner, what a copy of the disk from before is worth, and what a cut at any moment leads to."""

import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from broker import Cloud, Listener
from campaign import campaign
from keyscan import keys
from machine import BUTTON, Machine, copy_device, wait_for
from owner import Owner
from partition import graft
from pki import Forge
from simulator import hold_button

# A few of them are before the order was recorded, and end as nothing.
CUTS, CUTS_OF_TORTURE, WIPED_OF_TORTURE = 4, 330, 300
# With UEFI, whose variables are cut too: it starts slowly.
UEFI_CUTS, UEFI_CUTS_OF_TORTURE = 2, 40
CUTS_A_RUN, OLDER_COPIES = 30, 10


class Buyer(Owner):
    """Somebody else with the same device at the wire, who trusts its maker and holds its label."""

    def __init__(self, seller: Owner, machine: Machine):
        super().__init__(machine)
        self.seller = seller

    @property
    def label_file(self) -> Path:
        return self.seller.label_file

    def receipt(self, name: str = "receipt.json", check: bool = True) -> subprocess.CompletedProcess:
        """Fetches the receipt from the device and verifies it."""
        maker = str(self.maker / "maker-ca.pem")
        return self.run("receipt", "get", "--device", self.address, "--output", str(self.home / name), "--maker-ca", maker, "--json", check=check)

    def info(self) -> dict:
        """What the device says of itself to whoever has any certificate."""
        if not hasattr(self, "stranger"):
            self.stranger = Forge(self.home).claimant()
        certificate, key = self.stranger
        ask = ["curl", "--silent", "--insecure", "--cert", certificate, "--key", key, f"https://{self.address}/v1/info"]
        said = subprocess.run(ask, capture_output=True, text=True)
        return json.loads(said.stdout) if said.returncode == 0 and said.stdout else {}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An owned device as its folder, and its owner; each test takes a copy."""
    device = tmp_path_factory.mktemp("sold") / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        owner.run("member", "add", "grace", "--role", "viewer")
    return device, owner


@pytest.fixture
def sold(original):
    """What the operator knows of the device is as it was before the test before."""
    device, owner = original
    book = owner.home / "devices.json"
    kept = book.read_bytes()
    yield original
    book.write_bytes(kept)


def wiped(buyer: Buyer) -> dict:
    """Waits until the device is back as nobody's, and returns what its receipt states."""
    said = []

    def is_back() -> bool:
        # The one who asked may have been answered while nobody else was.
        (buyer.home / "first.json").unlink(missing_ok=True)
        said[:] = [buyer.info(), buyer.receipt("first.json", check=False).stderr]
        return said[0].get("lifeCycleState") == "provisioned" and not said[1]

    try:
        wait_for("the device to be back", is_back, 180, 1)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said}") from None
    return json.loads(buyer.receipt("receipt.json").stdout)["statement"]


def test_a_sold_device_is_empty_its_receipt_says_so_and_older_copies_do_not_open(sold, tmp_path):
    original, owner = sold
    device, old = copy_device(original, tmp_path / "device"), copy_device(original, tmp_path / "old")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        former = owner.json("info")
        assert json.loads(owner.run("transfer", "--yes", "--json").stdout)["lifeCycleState"] == "provisioned"
        buyer = Buyer(owner, machine)
        statement = wiped(buyer)
        assert statement["deviceId"] == former["deviceId"] and statement["serialNumber"] == "TEST-1"
        assert statement["formerOwnerId"] == former["ownerId"] and statement["cause"] == "owner"
        assert statement["rootOfTrust"] == "tpm2" and statement["identityEpochAfter"] == statement["identityEpochBefore"] + 1
        # Off line, by who has nothing but the maker's CA; and what was changed proves nothing.
        file, maker = buyer.home / "receipt.json", str(buyer.maker / "maker-ca.pem")
        assert buyer.run("receipt", "verify", str(file), "--maker-ca", maker).returncode == 0
        file.write_text(file.read_text().replace(former["ownerId"], "0" * len(former["ownerId"])))
        assert "receipt-wrong" in buyer.run("receipt", "verify", str(file), "--maker-ca", maker, "--json", check=False).stderr
        # Nobody of the old owner's gets in.
        assert owner.run("status", check=False).returncode != 0 and owner.run("status", "--as", "grace", check=False).returncode != 0
        buyer.claim()
        assert buyer.json("info")["ownerId"] != former["ownerId"]
        machine.power_off()
    # The disk of before with the TPM of now: whole, or its data alone.
    now = copy_device(device, tmp_path / "now")
    shutil.copy(old / "disk.img", device / "disk.img")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        assert owner.run("status", check=False).returncode != 0
        assert owner.station_info()["lifeCycleState"] == "damaged"
        assert "older copy" in owner.station_info()["damage"]
    graft(old / "disk.img", now / "disk.img")
    with owner.boot_again(now) as machine:
        machine.wait_until_it_listens()
        assert owner.run("status", check=False).returncode != 0
        assert owner.station_info()["lifeCycleState"] == "damaged"


def dump(machine: Machine, to: Path) -> set[bytes]:
    answer = machine.qmp("dump-guest-memory", paging=False, protocol=f"file:{to}")
    assert "error" not in answer, answer
    found = keys(to)
    to.unlink()
    return found


def test_no_storage_key_is_left_in_memory_after_a_wipe(sold, tmp_path):
    original, owner = sold
    with Machine("release", tpm=True) as other:
        # What another device has too is no secret: the kernel's own test vectors.
        constants = dump(other.wait_until_it_listens(), tmp_path / "memory-0")
    device = copy_device(original, tmp_path / "device")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        # What is there twice is no session's: the two keys of XTS.
        before = dump(machine, tmp_path / "memory-1")
        owner.run("status")
        before = (before & dump(machine, tmp_path / "memory-2")) - constants
        assert len(before) >= 2
        owner.run("transfer", "--yes")
        wiped(Buyer(owner, machine))
        time.sleep(30)
        after = dump(machine, tmp_path / "memory-3") - constants
        # The scan finds the keys of the volume that was made since.
        assert len(after) >= 2
        assert before & after == set()


def test_the_cloud_erases_what_it_holds_and_the_receipt_says_so():
    with Machine("release", tpm=True) as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
        with Cloud(owner) as cloud:
            cloud.bind()
            wait_for("the device to be connected to its broker", lambda: owner.cloud()["state"] == "connected", 180, 1)
            with Listener(cloud, owner.json("info")["deviceId"]) as listener:
                listener.wait("the status", "status", lambda message: message.document["online"])
            broker = ("--broker", f"{cloud.address}:{cloud.port}", "--authority", str(cloud.authority))
            service = threading.Thread(target=owner.run, args=("cloud", "erase", "--count", "1", *broker), daemon=True)
            service.start()
            wait_for("the service to hear the devices", lambda: " haechi/+/erase" in (owner.home / "cloud/log").read_text())
            owner.run("transfer", "--yes")
            service.join(180)
            assert not service.is_alive()
            statement = wiped(Buyer(owner, machine))
            assert statement["cloudErasure"] == "confirmed"
            # Nothing is retained of the device.
            heard = subprocess.run(cloud.client("mosquitto_sub", "-t", "haechi/#", "-W", "3"), capture_output=True, text=True, timeout=60)
            assert heard.stdout == ""


def hold_until_steady(machine: Machine):
    """As somebody at the device does, who does it again where the button was let go too late: the light is steady for five seconds."""
    for _ in range(5):
        steady = machine.serial_text.count("letting go now wipes the device")
        hold_button(machine)
        wait_for("the light to be steady", lambda before=steady: machine.serial_text.count("letting go now wipes the device") > before)
        # Not by `shell`: who answers may be gone before it has.
        machine.type(f"for f in {BUTTON}; do echo pull-down > $f; done\n")
        with contextlib.suppress(AssertionError):
            return wait_for("the device to take it", lambda: "held until the light was steady: the device is to be wiped" in machine.serial_text, 30)
    raise AssertionError("the button was let go too late each time")


def test_a_button_that_is_held_until_its_light_is_steady_wipes_the_device():
    with Machine("debug", tpm=True, serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        former = owner.json("info")

        # Let go while the light still blinks.
        machine.shell(f"for f in {BUTTON}; do echo pull-up > $f; sleep 3; echo pull-down > $f; done")
        assert owner.json("info") == former
        hold_until_steady(machine)
        statement = wiped(Buyer(owner, machine))
        assert statement["cause"] == "button" and statement["formerOwnerId"] == former["ownerId"]
        assert statement["identityEpochAfter"] == statement["identityEpochBefore"] + 1
        assert owner.run("status", check=False).returncode != 0


def test_a_wipe_that_is_cut_anywhere_ends_wiped(sold, tmp_path, dice, torture):
    ends = cut_wipes(*sold, tmp_path, dice, CUTS_OF_TORTURE if torture else CUTS)
    assert ends["wiped"] >= (WIPED_OF_TORTURE if torture else 1)


def test_the_same_with_uefi_and_its_variables(tmp_path, dice, torture):
    device = tmp_path / "sold"
    device.mkdir()
    with Machine("release", boot="uefi", tpm=True, device=device) as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
    ends = cut_wipes(device, owner, tmp_path, dice, UEFI_CUTS_OF_TORTURE if torture else UEFI_CUTS, boot="uefi")
    assert ends["wiped"] >= 1


def cut_wipes(original: Path, owner: Owner, tmp_path: Path, dice, cuts: int, **options) -> Counter:
    """How wipes of copies of the device end that are cut at so many instants."""

    def act(owner, recording):
        owner.run("transfer", "--yes")
        recording.note("accepted", True)
        wiped(Buyer(owner, owner.machine))

    def check(owner, machine, cut):
        if owner.run("status", check=False).returncode == 0:
            # The order had not been recorded: nothing of it was done.
            assert not cut.acknowledged("accepted") and owner.json("status")["storage"]["state"] == "open"
            return "owned"
        # Before it serves anyone the boot has done the rest of it.
        buyer = Buyer(owner, machine)
        # A damaged device answers stations only.
        info = buyer.info() or owner.station_info()
        assert info["lifeCycleState"] == "provisioned", info
        statement = json.loads(buyer.receipt().stdout)["statement"]
        assert statement["identityEpochAfter"] == statement["identityEpochBefore"] + 1, statement
        if cut.number % OLDER_COPIES == 0:
            buyer.claim()
            machine.power_off()
            check_that_older_copies_do_not_open(owner, original, cut)
        return "wiped"

    def check_that_older_copies_do_not_open(owner, original, cut):
        """The whole disk of before, or its data alone, with the TPM of now."""
        now = copy_device(cut.device, tmp_path / f"now-{cut.number}")
        if cut.number % (2 * OLDER_COPIES) == 0:
            copy_device(original / "disk.img", now / "disk.img")
        else:
            graft(original / "disk.img", now / "disk.img")
        with owner.boot_again(now, **options) as machine:
            machine.wait_until_it_listens()
            assert owner.run("status", check=False).returncode != 0
            assert owner.station_info()["lifeCycleState"] == "damaged"
        shutil.rmtree(now)

    return campaign(original, owner, tmp_path, dice, cuts, CUTS_A_RUN, act, check, **options)

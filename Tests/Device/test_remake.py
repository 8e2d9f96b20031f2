"""A device whose storage is lost, made whole by a station with somebody at the button: it is a new device then, and nothing of before opens."""

import json
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from machine import Machine, copy_device
from owner import Owner

SPOILED = b"\x5a" * (1 << 20)
# A worker's work and the restart.
REMAKE_S = 12
CUTS, CUTS_OF_TORTURE = 3, 100


def spoil(disk: Path, name: str):
    """Writes over the beginning of a partition (UEFI 2.10, section 5.3: the header of the table in block 1, its entries behind)."""
    with open(disk, "r+b") as file:
        file.seek(512)
        entries, count, size = struct.unpack_from("<QII", file.read(92), 72)
        file.seek(entries * 512)
        table = [file.read(size) for _ in range(count)]
        (first,) = (struct.unpack_from("<Q", entry, 32)[0] for entry in table if entry[56:128].decode("utf-16-le").rstrip("\0") == name)
        file.seek(first * 512)
        file.write(SPOILED)


def order(owner: Owner) -> tuple[int, str]:
    """A station's bare request: the status, and the code of a refusal."""
    credentials = ["--cert", str(owner.maker / "station.pem"), "--key", str(owner.maker / "station.key")]
    ask = ["curl", "--silent", "--insecure", "--max-time", "90", *credentials, "--request", "POST", "--write-out", "\n%{http_code}"]
    done = subprocess.run([*ask, f"https://{owner.address}/v1/storage/remake"], capture_output=True, text=True)
    text, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(text).get("type", "").removeprefix("urn:haechi:problem:") if text else ""


def provision(owner: Owner, serial_number: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    command = ("provision", "--station", str(owner.maker), "--device", owner.address, "--serial-number", serial_number)
    return owner.run(*command, *arguments, check=check, timeout_s=400)


def life(owner: Owner) -> str:
    """What a station hears: nothing from a device that is no station's business any more, or is away."""
    try:
        return owner.station_info().get("lifeCycleState", "")
    except (subprocess.CalledProcessError, json.JSONDecodeError):
        return ""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An owned device as its folder, and its owner; each test takes a copy."""
    device = tmp_path_factory.mktemp("lost") / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        identity = owner.json("info")["deviceId"]
    return device, owner, identity


@pytest.mark.parametrize("part", ["ident", "data"])
def test_a_lost_storage_is_made_whole_and_the_device_is_a_new_one(original, part, tmp_path):
    source, owner, identity = original
    device = copy_device(source, tmp_path / "device")
    spoil(device / "disk.img", part)
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        assert life(owner) == "damaged"
        refused = provision(owner, "TEST-2", check=False)
        assert refused.returncode != 0 and "storage-lost" in refused.stderr, refused
        # From afar, nobody erases anything.
        assert order(owner) == (403, "presence-needed")
        machine.press_button()
        buyer = Owner(machine)
        done = json.loads(provision(buyer, "TEST-2", "--remake", "--json").stdout)
        assert done["lifeCycleState"] == "provisioned" and done["deviceId"] != identity
        # Whole, it is not made anew again.
        assert owner.run("status", check=False).returncode != 0
        machine.press_button()
        maker = str(buyer.maker / "maker-ca.pem")
        buyer.run(
            "claim", "--name", "operator", "--maker-ca", maker, "--device", buyer.address, "--label-file", str(buyer.home / "labels/TEST-2.txt")
        )
        status = buyer.json("status")
        assert status["state"] == "owned" and status["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}
        machine.power_off()
    # It outlives the power; and the disk of before does not open with the TPM of now.
    with buyer.boot_again(device) as machine:
        machine.wait_until_it_listens()
        assert buyer.json("info")["deviceId"] == done["deviceId"]
    shutil.copy(source / "disk.img", device / "disk.img")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        assert owner.run("status", check=False).returncode != 0
        assert life(owner) == "damaged"


def test_a_whole_storage_is_not_made_anew(original, tmp_path):
    source, owner, _ = original
    device = copy_device(source, tmp_path / "device")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        machine.press_button()
        # A station has no business with a device that has an owner.
        assert order(owner)[0] != 200
        assert owner.json("status")["state"] == "owned"
    with Machine("release", tpm=True) as machine:
        machine.wait_until_it_listens()
        blank = Owner(machine)
        machine.press_button()
        assert order(blank) == (409, "life-cycle-state")


def test_a_remake_that_is_cut_anywhere_opens_nothing_of_before(original, tmp_path, dice, torture):
    source, owner, identity = original
    ends: dict[str, int] = {}
    for number in range(CUTS_OF_TORTURE if torture else CUTS):
        device = copy_device(source, tmp_path / f"device-{number}")
        spoil(device / "disk.img", "ident")
        after_s = dice.uniform(0, REMAKE_S)
        with owner.boot_again(device) as machine:
            machine.wait_until_it_listens()
            assert life(owner) == "damaged"
            machine.press_button()
            time.sleep(1)
            request = threading.Thread(target=order, args=(owner,))
            request.start()
            time.sleep(after_s)
            machine.cut_power()
            request.join(120)
        with owner.boot_again(device) as machine:
            machine.wait_until_it_listens()
            state = life(owner)
            ends[state] = ends.get(state, 0) + 1
            assert state in ("damaged", "blank"), (after_s, state)
            assert owner.run("status", check=False).returncode != 0
            anew = Owner(machine)
            if state == "damaged":
                machine.press_button()
            done = json.loads(provision(anew, f"TEST-{number}", *(["--remake"] if state == "damaged" else []), "--json").stdout)
            assert done["deviceId"] != identity
        shutil.rmtree(device)
    print(f"cuts: {ends}")

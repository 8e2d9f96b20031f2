"""The owner's recovery key (T8): a device's disk in somebody's PC, which has stock Debian and the key that the owner kept."""

import json
import re
import secrets
import shutil

import guest
import pytest
from machine import Machine, wait_for
from owner import Owner

# The order, a restart, and the boot that makes the key slot; and the guest's packages, where they are fetched for the first time.
RESTART_S = 420


def recovery_key(owner: Owner, *arguments: str) -> dict:
    return json.loads(owner.run("recovery-key", *arguments, "--json", timeout_s=RESTART_S).stdout)


def kept(device, folder, name):
    """The disk as it is now, with the machine switched off."""
    disk = folder / f"{name}.img"
    shutil.copyfile(device / "disk.img", disk)
    return disk


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """The disk of a device at four moments of its life, the keys that its owner was given, and what stock Debian says of each key on each disk."""
    folder = tmp_path_factory.mktemp("recovery")
    device = folder / "device"
    device.mkdir()
    disks, keys, told = {}, {}, {}
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        told["before"] = recovery_key(owner, "status")
        file = owner.home / "first.key"
        told["first"] = recovery_key(owner, "new", "--output", str(file))
        told["mode"] = file.stat().st_mode & 0o777
        keys["first"] = file.read_text()
        told["checked"] = recovery_key(owner, "check", str(file))
        told["after"] = recovery_key(owner, "status")
        told["status"] = owner.json("status")
        told["log"] = owner.log()
    disks["first"] = kept(device, folder, "first")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        told["second"] = recovery_key(owner, "new")
        keys["second"] = told["second"]["key"]
    disks["second"] = kept(device, folder, "second")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        told["removed"] = recovery_key(owner, "remove")
        told["none"] = recovery_key(owner, "status")
        told["audit"] = owner.json("audit", "export", str(owner.home / "recovery.audit"))
    disks["removed"] = kept(device, folder, "removed")
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        keys["third"] = recovery_key(owner, "new")["key"]
        owner.run("transfer", "--yes")
        wait_for(
            "the device to be wiped",
            lambda: owner.run("receipt", "get", "--output", str(owner.home / "receipt.json"), check=False).returncode == 0,
            180,
            2,
        )
    disks["wiped"] = kept(device, folder, "wiped")
    # Of the right form, and nobody's.
    keys["strange"] = "-".join("".join(secrets.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(4)) for _ in range(14))
    return told, guest.try_keys(disks, keys)


def opens(said: dict) -> set:
    """The keys that open a disk, and give the owner's file on it."""
    for name, words in said.items():
        if name != "slots":
            # As cryptsetup says it where no slot takes the key, and where there is none.
            refused = words.startswith(("refused No key available", "refused No usable keyslot"))
            assert refused or re.fullmatch(r"opens [0-9a-f]{64}  /mnt/state/owner.json", words), (name, words)
    return {name for name, words in said.items() if words.startswith("opens")}


def test_the_owner_is_told_of_the_key_and_the_device_does_not_have_it(life):
    told, _ = life
    assert told["before"] == {"state": "none"}
    assert told["mode"] == 0o600 and "key" not in told["first"]
    assert told["checked"]["fingerprint"] == told["first"]["fingerprint"] == told["after"]["fingerprint"]
    assert told["after"]["state"] == "in-force" and "pending" not in told["after"]
    assert told["status"]["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}
    assert told["status"]["state"] == "owned"
    assert any("the disk has a new recovery key" in line for line in told["log"])


def test_the_key_opens_the_disk_in_stock_debian_and_no_other_does(life):
    _, said = life
    assert opens(said["first"]) == {"first"}
    assert said["first"]["slots"] == "1"


def test_the_next_key_takes_its_place(life):
    told, said = life
    assert told["second"]["fingerprint"] != told["first"]["fingerprint"]
    assert opens(said["second"]) == {"second"}
    assert said["second"]["slots"] == "1"


def test_a_key_that_was_removed_does_not_open_it(life):
    told, said = life
    assert told["removed"]["fingerprint"] == told["second"]["fingerprint"] and told["none"] == {"state": "none"}
    assert opens(said["removed"]) == set()
    assert said["removed"]["slots"] == "0"


def test_the_audit_log_has_it(life):
    told, _ = life
    entries = [" ".join([entry["kind"], *entry["values"]]) for entry in told["audit"]["entries"]]
    made = ["statement-accepted set-recovery-key", "shutdown ordered", "recovery-key made"]
    removed = ["statement-accepted remove-recovery-key", "shutdown ordered", "recovery-key removed"]
    assert [entry for entry in entries if entry in (*made, *removed)] == [*made, *made, *removed]
    assert told["audit"]["findings"] == []


def test_after_a_wipe_no_key_of_before_opens_it(life):
    _, said = life
    assert opens(said["wiped"]) == set()
    assert said["wiped"]["slots"] == "0"

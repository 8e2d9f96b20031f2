"""The power goes at any moment of a claim, of a renewal, of writing: the device is in a legal state afterwards, and what it acknowledged is there."""

import json
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from cutdisk import rebuild
from machine import Machine, copy_device, wait_for
from owner import Owner

CUTS = 3
# On demand: 200 in the life cycle, 1,000 under write load.
CLAIM_CUTS, RENEWAL_CUTS, WRITING_CUTS = 100, 100, 1000


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory):
    """A provisioned device as its folder, and who may claim it; each cut takes a copy."""
    device = tmp_path_factory.mktemp("provisioned") / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine)
        owner.provision()
        owner.run("owner", "new")
        machine.qmp("quit")
        machine.process.wait(30)
    return device, owner


@pytest.fixture(scope="module")
def owned(provisioned, tmp_path_factory):
    """The same with an owner."""
    original, owner = provisioned
    device = copy_device(original, tmp_path_factory.mktemp("owned") / "device")
    with boot(device, owner):
        owner.claim()
        owner.machine.qmp("quit")
        owner.machine.process.wait(30)
    return device, owner


@contextmanager
def boot(device: Path, owner: Owner, log_writes: Path | None = None):
    """The device where its owner knows it; the owner's machine is this one from then on."""
    with owner.boot_again(device, log_writes=log_writes) as machine:
        owner.machine = machine
        yield machine.wait_until_it_listens()


class Desk:
    """The operator's folder, put back for the next cut: what was issued and withdrawn for one copy of the device is not so for another."""

    def __init__(self, owner: Owner, folder: Path):
        self.home, self.kept = owner.home, folder
        shutil.copytree(self.home, self.kept, dirs_exist_ok=True)

    def restore(self):
        for entry in self.home.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(self.kept, self.home, dirs_exist_ok=True)


def campaign(original: Path, owner: Owner, tmp_path: Path, dice, cuts: int, span_s: float, act, check):
    """Cuts the power at a random moment of `act`, loses what was not flushed, boots again and has `check` look; what `act` noted is handed to it."""
    told = {"pending": 0, "lost": 0}
    for number in range(cuts):
        device, before = copy_device(original, tmp_path / f"device-{number}"), tmp_path / f"disk-{number}"
        subprocess.run(["cp", "--sparse=always", str(device / "disk.img"), str(before)], check=True)
        desk, log, notes = Desk(owner, tmp_path / "desk"), tmp_path / f"log-{number}", {}
        after_s = dice.uniform(0, span_s)
        with boot(device, owner, log_writes=log) as machine:
            worker = threading.Thread(target=act, args=(machine, notes), daemon=True)
            worker.start()
            time.sleep(after_s)
            acknowledged = dict(notes)
            machine.cut_power()
            worker.join(180)
        pending, lost = rebuild(before, log, dice)
        told = {"pending": told["pending"] + pending, "lost": told["lost"] + lost}
        before.replace(device / "disk.img")
        log.unlink()
        with boot(device, owner) as machine:
            check(machine, acknowledged, f"cut {number} after {after_s:.2f} s, {lost} of {pending} writes lost")
        desk.restore()
        shutil.rmtree(device)
    print(f"cuts: {told}")


def test_a_claim_that_is_cut_leaves_a_device_that_is_claimed_or_can_be(provisioned, tmp_path, dice, torture):
    original, owner = provisioned
    ends = {"owned": 0, "claimed again": 0}

    def act(machine, notes):
        if owner.claim(check=False).returncode == 0:
            notes["claimed"] = True

    def check(machine, acknowledged, which):
        status = owner.run("status", "--device", owner.address, check=False)
        if status.returncode == 0:
            ends["owned"] += 1
            return
        assert "claimed" not in acknowledged, (which, status.stderr)
        again = owner.claim(check=False)
        assert again.returncode == 0, (which, status.stderr, again.stderr)
        ends["claimed again"] += 1

    campaign(original, owner, tmp_path, dice, CLAIM_CUTS if torture else CUTS, 5, act, check)
    print(ends)


def test_a_renewal_that_is_cut_leaves_the_old_credential_or_the_new_one(owned, tmp_path, dice, torture):
    original, owner = owned

    def serial() -> bytes:
        """Of the certificate that the device shows; empty where it shows none."""
        certificate, key = owner.credentials
        said = subprocess.run(
            ["openssl", "s_client", "-connect", owner.address, "-tls1_3", "-cert", str(certificate), "-key", str(key)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=said.stdout, capture_output=True).stdout

    def act(machine, notes):
        done = owner.run("renew", check=False)
        if done.returncode == 0 and (shown := serial()):
            notes["after"] = shown

    def check(machine, acknowledged, which):
        assert owner.run("status", check=False).returncode == 0, which
        if "after" in acknowledged:
            assert serial() == acknowledged["after"], which
        # And it can still be renewed.
        assert owner.run("renew", check=False).returncode == 0, which

    campaign(original, owner, tmp_path, dice, RENEWAL_CUTS if torture else CUTS, 4, act, check)


def test_what_was_acknowledged_under_write_load_is_there(owned, tmp_path, dice, torture):
    original, owner = owned

    def number() -> int:
        certificate, key = owner.credentials
        said = subprocess.run(
            [
                "curl",
                "--silent",
                "--show-error",
                "--insecure",
                "--cert",
                str(certificate),
                "--key",
                str(key),
                f"https://{owner.address}/v1/revocations",
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )
        return json.loads(said.stdout)["number"]

    def act(machine, notes):
        for count in range(100):
            name = f"member-{tmp_path.name}-{count}".lower()
            owner.run("member", "add", name, "--role", "viewer", check=False)
            if owner.run("member", "revoke", name, check=False).returncode != 0:
                return
            notes["acknowledged"] = notes.get("acknowledged", 0) + 1
            notes["number"] = number()

    def check(machine, acknowledged, which):
        wait_for("the owner to be let in", lambda: owner.run("status", check=False).returncode == 0, 60)
        assert number() >= acknowledged.get("number", 0), which

    campaign(original, owner, tmp_path, dice, WRITING_CUTS if torture else CUTS, 8, act, check)

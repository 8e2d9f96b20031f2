"""What outlives the power (T8), seen from outside: an owned device whose plug is pulled, and its disk in other hands."""

import shutil
import subprocess
from pathlib import Path

import pytest
from machine import Machine
from owner import Owner

# The data partition is 256 MiB of mostly nothing: read in pieces that overlap by more than the longest canary.
PIECE, OVERLAP = 1 << 20, 256


# Said to the device through its API, each in a place of its own: a binding, a member's name, a path, a header, a body.
SAID = {word: f"canary-{word}".encode() for word in ("broker", "member", "path", "header", "body")}


def holds(path: Path, canaries: dict[str, bytes]) -> dict[str, int]:
    """Where each canary lies in a file, for those that are there."""
    found = {}
    with open(path, "rb") as file:
        at = 0
        while piece := file.read(PIECE + OVERLAP):
            for name, canary in canaries.items():
                if name not in found and (place := piece.find(canary)) >= 0:
                    found[name] = at + place
            at += PIECE
            file.seek(at)
    return found


def canaries(owner: Owner) -> dict[str, bytes]:
    """What the device was told or made, and what must never lie on its disk in the clear."""
    certificate = (owner.home / "owner/members/operator.pem").read_text()
    der = subprocess.run(["openssl", "x509", "-outform", "der"], input=certificate.encode(), capture_output=True, check=True).stdout
    authority = subprocess.run(["openssl", "x509", "-outform", "der", "-in", str(owner.authority)], capture_output=True, check=True).stdout
    return SAID | {
        "a private key in PEM": b"PRIVATE KEY",
        "the serial number": b"TEST-1",
        "the member's certificate": der[:64],
        "the owner's authority": authority[:64],
        "a line of its PEM": b"".join(owner.authority.read_bytes().splitlines()[1:2]),
        "a field of the state": b"operationalChain",
        "the name of a key file": b"device.key",
    }


def say_canaries(owner: Owner):
    """Names, credentials and requests, so that what keeps any of them has it: the binding, the list of revocations, the logs."""
    owner.bind("canary-broker.example:8883", str(owner.authority))
    owner.run("member", "add", "canary-member", "--role", "viewer")
    owner.run("status", "--as", "canary-member")
    owner.run("member", "revoke", "canary-member")
    certificate, key = owner.credentials
    ask = ["curl", "--silent", "--insecure", "--cert", str(certificate), "--key", str(key), "--header", "X-Word: canary-header"]
    for more in (["canary-path"], ["actuators/relay", "--request", "PUT", "--data", '{"canary-body": "canary-body"}']):
        subprocess.run([*ask, f"https://{owner.address}/v1/{more[0]}", *more[1:]], capture_output=True, check=True)
    log = "\n".join(owner.log())
    assert "canary-member" in log or "canary-path" in log, log


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    """A release device with a TPM that was claimed, and lost its power in the middle of its life."""
    device = tmp_path_factory.mktemp("device")
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        before = owner.json("status")
        assert before["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}
        identity = owner.json("info")["deviceId"]
        say_canaries(owner)
        machine.process.kill()
    return device, owner, identity


def test_an_owned_device_is_owned_after_its_plug_was_pulled(pulled):
    device, owner, identity = pulled
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        status = owner.json("status")
        assert status["state"] == "owned"
        assert status["storage"]["state"] == "open"
        assert owner.json("info")["deviceId"] == identity


def test_its_disk_holds_nothing_in_the_clear(pulled):
    device, owner, _ = pulled
    words = canaries(owner)
    assert holds(device / "disk.img", words) == {}
    # The search finds what is there: the firmware in its slot, which is no secret.
    assert "firmware" in holds(device / "disk.img", {"firmware": b"BOOTAA64"})


def test_its_disk_does_not_open_with_another_tpm(pulled, tmp_path):
    device, owner, _ = pulled
    other = tmp_path / "other"
    other.mkdir()
    for name in ("disk.img", "vars.fd", "made-from"):
        subprocess.run(["cp", "--sparse=always", str(device / name), str(other / name)], check=True)
    with owner.boot_again(other) as machine:
        machine.wait_until_it_listens()
        info = owner.station_info()
        assert info["lifeCycleState"] == "damaged"
        assert "another TPM" in info["damage"]
    shutil.rmtree(other / "tpm")
    with owner.boot_again(other, tpm=False) as machine:
        machine.wait_until_it_listens()
        info = owner.station_info()
        assert info["lifeCycleState"] == "damaged"
        assert "has none" in info["damage"]

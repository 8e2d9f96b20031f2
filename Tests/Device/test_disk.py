"""A disk that is full, read-only, failing or gone (T8): the device serves on, says what is wrong, and has lost nothing that it acknowledged."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import ROOT, Machine, copy_device, wait_for
from owner import Owner

HOSTILE = ROOT / "Images/out/qemu-virt-debug-hostile"
FULL, READ_ONLY, FAILING = "storage-full", "storage-read-only", "storage-failing"


def ask(owner: Owner, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    """One request of the admin's: the status, and what the answer says."""
    certificate, key = owner.credentials
    command = ["curl", "--silent", "--show-error", "--insecure", "--max-time", "120", "--cert", str(certificate), "--key", str(key)]
    command += ["--request", method, "--write-out", "\n%{http_code}", f"https://{owner.address}{path}"]
    if body is not None:
        command += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
    done = subprocess.run(owner.inside(*command), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(text)


def keep(owner: Owner, export: bool) -> tuple[int, str]:
    """Asks for something that must be stored: the status, and the code of a refusal."""
    status, answer = ask(owner, "PUT", "/v1/audit", {"export": export})
    return status, answer.get("type", "").removeprefix("urn:haechi:problem:")


def fault(owner: Owner) -> str | None:
    return owner.json("status")["storage"].get("fault", {}).get("code")


def serves(owner: Owner):
    """What needs no storage goes on: new readings, and an output that is switched."""
    before = owner.json("readings")
    wait_for("new readings", lambda: owner.json("readings") != before, interval_s=0.5)
    for on in (True, False):
        assert ask(owner, "PUT", "/v1/actuators/relay", {"on": on}) == (200, {"name": "relay", "on": on, "safe": False})


def told(owner: Owner) -> list[str]:
    return [event["state"] for event in owner.events("storage")]


def is_whole(owner: Owner, device: Path, acknowledged: bool):
    """After a restart with a good disk: the same owner, what was acknowledged, and a storage that takes something."""
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        status = owner.json("status")
        assert status["state"] == "owned" and status["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}
        answer = ask(owner, "GET", "/v1/audit")
        assert answer[0] == (200 if acknowledged else 409), answer
        assert keep(owner, True) == (200, "")
        # Another test's copy of this device went on by itself: what is remembered of its log is not this one's.
        shutil.rmtree(owner.home / "audit", ignore_errors=True)
        exported = owner.home / f"{device.parent.name}.audit"
        done = owner.run("audit", "export", str(exported), "--json")
        assert json.loads(done.stdout)["findings"] == []


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An owned release device with a TPM, as its folder, and its owner; each test takes a copy."""
    device = tmp_path_factory.mktemp("original") / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        assert keep(owner, False) == (200, "")
    return device, owner


@pytest.mark.parametrize(
    "operations", [("write",), ("flush",), ("read", "write", "flush", "write-zeroes", "discard")], ids=["write", "flush", "gone"]
)
def test_a_disk_that_fails_takes_nothing_and_loses_nothing(original, operations, tmp_path):
    source, owner = original
    device = copy_device(source, tmp_path / "device")
    with owner.boot_again(device, disk="faulty") as machine:
        machine.wait_until_it_listens()
        assert fault(owner) is None and keep(owner, True) == (200, "")
        machine.break_disk(*operations)
        for _ in range(3):
            status, code = keep(owner, False)
            assert (status, code) in [(503, FAILING), (503, READ_ONLY)]
        serves(owner)
        # ext4 takes itself out of use when it cannot write its journal, sooner or later.
        assert fault(owner) in (FAILING, READ_ONLY)
        assert told(owner) in [[FAILING], [FAILING, READ_ONLY], [READ_ONLY]]
        # Between the two questions it may have become read-only.
        wait_for("the log to say as much", lambda: sum("nothing is kept until" in line for line in owner.log()) == len(told(owner)))
    is_whole(owner, device, acknowledged=True)


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_an_identity_that_cannot_be_written_is_not_damaged_by_the_attempt(operation, tmp_path):
    """The partition `ident` has a counter in the TPM, and a record that was refused must not become one that is missing."""
    device = tmp_path / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device, disk="faulty") as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine)
        owner.provision()
        machine.break_disk(operation)
        # Each try counts a proof as wrong before it is looked at, which has to be written there.
        for _ in range(2):
            refused = owner.claim(check=False)
            assert refused.returncode != 0 and "could not be" in refused.stderr, refused
    with owner.boot_again(device) as machine:
        owner.machine = machine
        machine.wait_until_it_listens()
        owner.claim()
        status = owner.json("status")
        assert status["state"] == "owned" and status["storage"]["state"] == "open"


def test_a_disk_that_is_well_again_is_noticed(original, tmp_path):
    source, owner = original
    device = copy_device(source, tmp_path / "device")
    with owner.boot_again(device, disk="faulty") as machine:
        machine.wait_until_it_listens()
        machine.break_disk("write")
        assert keep(owner, True)[0] == 503
        machine.break_disk()
        # Unless ext4 took itself out of use meanwhile, which only a restart ends.
        wait_for("the fault to be over, or final", lambda: fault(owner) in (None, READ_ONLY), 120, 1)
        is_final = fault(owner) == READ_ONLY
        assert keep(owner, True) == ((503, READ_ONLY) if is_final else (200, ""))
        assert is_final or told(owner)[-1] == "storage-writable"
        serves(owner)
    is_whole(owner, device, acknowledged=not is_final)


def test_a_disk_that_is_read_only_from_the_start_is_not_opened_and_not_changed(original, tmp_path):
    source, owner = original
    device = copy_device(source, tmp_path / "device")
    before = (device / "disk.img").read_bytes()
    with owner.boot_again(device, disk="read-only") as machine:
        machine.wait_until_it_listens()
        info = owner.station_info()
        assert info["lifeCycleState"] == "damaged"
        assert "write-protected" in info["damage"], info
    assert (device / "disk.img").read_bytes() == before
    is_whole(owner, device, acknowledged=False)


def test_a_runtime_that_fills_the_volume_keeps_nothing_from_root_and_is_told(tmp_path):
    device = tmp_path / "device"
    device.mkdir()
    with Machine("debug", image=HOSTILE, serial_on_stdio=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        assert keep(owner, True) == (200, "")
        # Most of it by root, and fast: the kernel only notes whose the blocks are.
        machine.shell("cd /run/haechi/data/state && fallocate -l 200M most && chown 900 most; sync")
        machine.shell("echo attempt=8 > /run/haechi/data/state/stolen")
        machine.press_button()
        done = wait_for("the volume to be full", lambda: [line for line in owner.log() if "fill:" in line], 600, 2)
        assert "No space left on device; " in done[0] and done[0].endswith("No space left on device"), done
        # What nobody asks it to keep a device does not try; and the last blocks may go a moment later.
        wait_for("a refusal", lambda: keep(owner, True) == (507, FULL), interval_s=1)
        assert fault(owner) == FULL
        serves(owner)
        assert told(owner) == [FULL]
        # Root's own goes on: an export is itself an entry of the log, and is signed before it is given out.
        for number in range(3):
            written = owner.run("audit", "export", str(owner.home / f"{number}.audit"), "--json")
            assert json.loads(written.stdout)["findings"] == []
        assert not any("cannot be written" in line for line in owner.log())
        machine.shell("rm -f /run/haechi/data/state/most /run/haechi/data/state/fill*")
        wait_for("room to be noticed", lambda: fault(owner) is None, interval_s=1)
        assert told(owner) == [FULL, "storage-writable"]
        assert keep(owner, False) == (200, "")

        machine.shell("mount -o remount,ro /run/haechi/data")
        wait_for("it to be noticed without a request", lambda: fault(owner) == READ_ONLY, interval_s=1)
        assert keep(owner, True) == (503, READ_ONLY)
        serves(owner)
        machine.shell("mount -o remount,rw /run/haechi/data")
        wait_for("it to be noticed", lambda: fault(owner) is None, interval_s=1)
        assert keep(owner, True) == (200, "")
        machine.cut_power()
    owner.machine = Machine("debug", image=HOSTILE, serial_on_stdio=True, device=device, port=machine.port)
    with owner.machine as machine:
        machine.wait_until_it_listens()
        assert owner.json("status")["state"] == "owned" and ask(owner, "GET", "/v1/audit")[0] == 200

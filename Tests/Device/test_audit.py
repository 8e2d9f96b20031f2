"""The audit log of a booted image: what happens is in it, and what somebody does to it is found (T24)."""

import json

import pytest
from machine import Machine
from owner import Owner
from test_supervision import wait_for_another_runtime

FOLDER = "/run/haechi/data/audit"


@pytest.fixture
def claimed():
    # With a shell, which plays whoever has taken over the whole device.
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        yield machine, Owner(machine).provision_and_claim()


def export(owner: Owner, name: str, check: bool = True) -> dict:
    done = owner.run("audit", "export", str(owner.home / name), "--json", check=check)
    return json.loads(done.stdout)


def test_what_happens_is_in_the_log_and_what_is_done_to_it_is_found(claimed):
    machine, owner = claimed
    first = export(owner, "first.audit")
    kinds = [entry["kind"] for entry in first["entries"]]
    order = ["boot", "runtime-started", "serving", "provisioned", "owner-pinned", "claimed", "exported"]
    assert [kind for kind in kinds if kind in order] == order
    assert first["findings"] == [] and first["signedTo"] == first["entries"][-1]["sequence"]

    # The runtime reads it and owns nothing of it; the keys are root's alone.
    modes = machine.shell(f"ls -ln {FOLDER}")
    assert all(line.split()[2] == "0" for line in modes.splitlines() if line.startswith("-")), modes
    assert "-rw-------" in next(line for line in modes.splitlines() if line.endswith(" state")), modes

    pid = wait_for_another_runtime(machine, None)
    machine.shell(f"kill -9 {pid}")
    wait_for_another_runtime(machine, pid)
    machine.wait_until_it_listens()
    second = export(owner, "second.audit")
    assert second["findings"] == [] and second["keyWasKnown"]
    assert ["killed", "9"] in [entry["values"] for entry in second["entries"] if entry["kind"] == "runtime-ended"]
    whole = owner.json("audit", "verify", str(owner.home / "second.audit"), "--owner-key")
    assert whole["findings"] == [] and whole["codedTo"] == whole["entries"][-1]["sequence"]

    # One letter of one entry.
    exported = (owner.home / "second.audit").read_bytes()
    place = exported.index(b"killed") - exported.index(b"haechi-audit-segment-1")
    machine.shell(f"printf K | dd of=$(echo {FOLDER}/*.segment) bs=1 seek={place} conv=notrunc")
    done = owner.run("audit", "export", str(owner.home / "third.audit"), "--json", check=False)
    ended = next(entry["sequence"] for entry in second["entries"] if entry["kind"] == "runtime-ended")
    assert done.returncode == 1 and json.loads(done.stderr)["error"]["code"] == "audit-tampered"
    finding = json.loads(done.stdout)["findings"][0]
    assert finding["kind"] == "changed" and finding["first"] <= ended <= finding["last"]
    named = owner.run("audit", "verify", str(owner.home / "third.audit"), "--owner-key", "--json", check=False)
    finding = json.loads(named.stdout)["findings"][0]
    assert (finding["kind"], finding["first"]) == ("changed", ended)

"""The power goes at any moment of a claim, of a renewal, of writing: the device is in a legal state afterwards, and what it acknowledged is there."""

import subprocess
import time

import pytest
from campaign import campaign
from machine import ROOT, Machine, copy_device, install, wait_for
from owner import Owner

CUTS, FEW_CUTS = 4, 2
# On demand: 200 in the life cycle, 1,000 under write load.
CLAIM_CUTS, RENEWAL_CUTS, WRITING_CUTS, FIRST_START_CUTS = 100, 100, 1000, 60
CUTS_A_RUN = 40
# What one run of a load does.
RENEWALS, TURNS = 5, 6
# Another device of the owner's, which is not there.
PEER = "0123456789abcdef0123"


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
    owner = owner.copy()
    with owner.boot_again(device) as machine:
        owner.machine = machine.wait_until_it_listens()
        owner.claim()
        # From here on the owner knows how far the audit log went.
        export_audit(owner)
        machine.qmp("quit")
        machine.process.wait(30)
    return device, owner


def export_audit(owner: Owner) -> dict:
    """Fetches the audit log and verifies it, with the owner's key too; what is remembered of the one before counts."""
    file = owner.home / "log.audit"
    file.unlink(missing_ok=True)
    owner.run("audit", "export", str(file))
    return owner.json("audit", "verify", str(file), "--owner-key")


def test_a_first_start_that_is_cut_is_made_up_for_by_the_next(tmp_path, dice, torture):
    """With UEFI, which fills its variables then; the device makes its partition, its keys and the counters of its TPM."""
    device, image = tmp_path / "new", ROOT / "Images/out/qemu-virt-release"
    device.mkdir()
    for name in ("disk.img", "vars.fd"):
        copy_device(image / name, device / name)
    install(device, image)

    def check(owner, machine, cut):
        assert owner.station_info()["lifeCycleState"] == "blank"
        owner.provision_and_claim()
        status = owner.json("status")
        assert status["storage"] == {"state": "open", "cipher": "aes-xts-plain64", "rootOfTrust": "tpm2"}
        return f"the TPM with {len(cut.beside.tpm or b'')} bytes"

    owner = Owner(Machine("release"))
    ends = campaign(device, owner, tmp_path, dice, FIRST_START_CUTS if torture else FEW_CUTS, CUTS_A_RUN, None, check, boot="uefi")
    assert not torture or len(ends) > 1, ends


def test_a_claim_that_is_cut_leaves_a_device_that_is_claimed_or_can_be(provisioned, tmp_path, dice, torture):
    def act(owner, recording):
        owner.claim()
        recording.note("claimed", True)
        # Entries of the audit log wait up to two seconds for others.
        time.sleep(3)

    def check(owner, machine, cut):
        status = owner.run("status", "--device", owner.address, check=False)
        if status.returncode == 0:
            return "owned"
        assert not cut.acknowledged("claimed"), status.stderr
        owner.claim()
        return "claimed again"

    ends = campaign(*provisioned, tmp_path, dice, CLAIM_CUTS if torture else CUTS, CUTS_A_RUN, act, check)
    assert not torture or set(ends) == {"owned", "claimed again"}


def test_a_renewal_that_is_cut_leaves_the_old_credential_or_the_new_one(owned, tmp_path, dice, torture):
    def serial(owner) -> bytes:
        """Of the certificate that the device shows."""
        certificate, key = owner.credentials
        said = subprocess.run(
            ["openssl", "s_client", "-connect", owner.address, "-tls1_3", "-cert", str(certificate), "-key", str(key)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=said.stdout, capture_output=True, check=True).stdout

    def act(owner, recording):
        recording.note("serial", serial(owner))
        for _ in range(RENEWALS):
            owner.run("renew")
            recording.note("serial", serial(owner))

    def check(owner, machine, cut):
        owner.run("status")
        shown = serial(owner)
        assert shown in cut.possible("serial"), (shown, cut.possible("serial"))
        # And it can still be renewed.
        owner.run("renew")
        return "as acknowledged" if shown == cut.acknowledged("serial") else "one ahead"

    campaign(*owned, tmp_path, dice, RENEWAL_CUTS if torture else CUTS, CUTS_A_RUN, act, check)


def shown(owner: Owner) -> dict:
    """What the device has of what the load orders."""
    revocations, cloud, peers, status = owner.ask("/v1/revocations", "/v1/cloud", "/v1/peers", "/v1/status")
    assert status["state"] == "owned" and status["storage"]["state"] == "open" and "fault" not in status["storage"], status
    return {
        "revocations": (revocations["number"], sorted(revocations["revoked"])),
        "cloud": (cloud.get("host"), cloud.get("port")),
        "peers": [(peer["deviceId"], peer["state"], sorted(peer["scope"])) for peer in peers["peers"]],
        "discovery": status["network"]["discovery"] != "off",
    }


def test_what_was_acknowledged_under_write_load_is_there(owned, tmp_path, dice, torture):
    def act(owner, recording):
        identity = owner.json("info")["deviceId"]

        def order(kind: str, is_right, *command: str):
            owner.run(*command)
            length = recording.length()
            # Multicast DNS begins and ends a moment after its order was answered.
            shows = f"the device to show the {kind} that were ordered"
            recording.note(kind, wait_for(shows, lambda: [value] if is_right(value := shown(owner)[kind]) else None)[0], length)

        def note_audit():
            recording.note("audit", (owner.home / f"audit/{identity}.json").read_bytes())

        for kind, value in shown(owner).items():
            recording.note(kind, value)
        note_audit()
        for turn in range(TURNS):
            name, host, port = f"member-{turn}", f"broker-{turn}.example", (443, 8883)[turn % 2]
            scope = ["readings:humidity", "readings:temperature"][: 1 + turn % 2]
            owner.run("member", "add", name, "--role", "viewer")
            order("revocations", lambda value, turn=turn: value[0] > turn, "member", "revoke", name)
            bind = ("cloud", "bind", "--broker", f"{host}:{port}", "--authority", str(owner.authority))
            order("cloud", (host, port).__eq__, *bind)
            approve = ("peer", "approve", identity, PEER, *(word for one in scope for word in ("--scope", one)))
            order("peers", [(PEER, "approved", scope)].__eq__, *approve)
            is_on = turn % 2 == 0
            order("discovery", is_on.__eq__, "discovery", "on" if is_on else "off")
            assert export_audit(owner)["findings"] == []
            note_audit()

    def check(owner, machine, cut):
        # Multicast DNS begins a moment after the device serves.
        wait_for("multicast DNS", lambda: shown(owner)["discovery"] in cut.possible("discovery"), 30)
        found, ahead = shown(owner), 0
        for kind, value in found.items():
            assert value in cut.possible(kind), f"{kind} is {value}, not one of {cut.possible(kind)}"
            ahead += value != cut.acknowledged(kind)
        (owner.home / f"audit/{owner.json('info')['deviceId']}.json").write_bytes(cut.possible("audit")[0])
        audit = export_audit(owner)
        assert audit["findings"] == [] and audit["codedTo"] == audit["entries"][-1]["sequence"], audit["findings"]
        # And it goes on.
        owner.run("discovery", "off" if found["discovery"] else "on")
        return "one ahead" if ahead else "as acknowledged"

    campaign(*owned, tmp_path, dice, WRITING_CUTS if torture else CUTS, CUTS_A_RUN, act, check)

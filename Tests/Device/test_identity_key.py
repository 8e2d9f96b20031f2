"""The device's own key is in its TPM for its whole life (promise of DESIGN.md, "Keys and trust"): it signs, and it lies in no file."""

import json
import subprocess
import threading
import time

from machine import LOOPBACK, Machine
from owner import Owner
from test_wipe import Buyer, wiped

# Where the runtime keeps what survives a wipe, and what does not.
IDENTITY, STATE = "/run/haechi/identity", "/run/haechi/data/state"
KNOCKERS, KNOCKING_S = 24, 12


def test_a_whole_life_with_the_key_in_the_tpm(tmp_path):
    device = tmp_path / "device"
    device.mkdir()
    with Machine("release", tpm=True, device=device) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine)
        blank = owner.station_info()
        assert blank["lifeCycleState"] == "blank" and blank["identityKey"] == "tpm"
        owner.provision()
        owner.claim()
        before = owner.json("info")
        assert before["identityKey"] == "tpm" and before["deviceId"] == blank["deviceId"]
        # A renewal proves by that key that it is this device which asks.
        assert owner.json("renew")["deviceId"] == before["deviceId"]
        machine.process.kill()
    # The plug was pulled: it is the same device, with the same key.
    with owner.boot_again(device) as machine:
        machine.wait_until_it_listens()
        assert owner.json("info")["deviceId"] == before["deviceId"]
        assert owner.json("status")["state"] == "owned"
        # Given away, wiped, with a receipt that the key has signed; and claimed by the next owner, whom it proves itself to.
        assert json.loads(owner.run("transfer", "--yes", "--json").stdout)["lifeCycleState"] == "provisioned"
        buyer = Buyer(owner, machine)
        statement = wiped(buyer)
        assert statement["deviceId"] == before["deviceId"] and statement["rootOfTrust"] == "tpm2"
        file, maker = buyer.home / "receipt.json", str(buyer.maker / "maker-ca.pem")
        assert buyer.run("receipt", "verify", str(file), "--maker-ca", maker).returncode == 0
        buyer.claim()
        after = buyer.json("info")
        assert after["identityKey"] == "tpm" and after["deviceId"] == before["deviceId"] and after["ownerId"] != before["ownerId"]


def test_the_runtime_has_no_file_of_it():
    with Machine("debug", tpm=True, serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine).provision_and_claim()
        assert owner.json("info")["identityKey"] == "tpm"
        names = machine.shell(f"ls {IDENTITY}").split()
        assert "identity.json" in names and "device.key" not in names
        # What looks for keys finds the one that is the runtime's, the LDevID's, and no other.
        found = machine.shell(f"grep -rl 'PRIVATE KEY' {IDENTITY} {STATE}").split()
        assert found == [f"{STATE}/operational.key"]


def test_without_a_tpm_the_key_is_a_file():
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        assert Owner(machine).station_info()["identityKey"] == "file"
        assert "device.key" in machine.shell(f"ls {IDENTITY}").split()


def test_a_flood_of_handshakes_leaves_an_unowned_device_its_life(tmp_path):
    """Each handshake of an unowned device costs its TPM a signature: strangers delay it, and bring nothing down."""
    with Machine("release", tpm=True) as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine)
        end = time.monotonic() + KNOCKING_S

        def knock():
            while time.monotonic() < end:
                ask = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{machine.port}", "-tls1_3"]
                try:
                    subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
                except subprocess.TimeoutExpired:
                    continue

        knockers = [threading.Thread(target=knock) for _ in range(KNOCKERS)]
        for knocker in knockers:
            knocker.start()
        for knocker in knockers:
            knocker.join()
        # It is provisioned and claimed right after, by the runtime that was there from the start.
        owner.provision_and_claim()
        status = owner.json("status")
        assert status["startCount"] == 1 and status["state"] == "owned"
        assert owner.json("info")["identityKey"] == "tpm"

"""A maker's line: devices on this host's virtual boards, provisioned many at once by a station that is killed now and then."""

import csv
import json
import os
import subprocess
from contextlib import ExitStack

from machine import LOOPBACK
from owner import Owner
from virtual import VirtualDevice

DEVICES, DEVICES_OF_TORTURE = 24, 2_000
# On the line at the same time.
PLACES, PLACES_OF_TORTURE = 12, 40
CUTS_IN_A_RUN = 2


class Station:
    """A station with a home, a ledger and labels of its own."""

    def __init__(self, home):
        self.home = home
        self.maker = Owner.maker_folder()
        self.ledger = home / "ledger.csv"
        self.labels = home / "labels"

    def start(self, addresses: list[str]) -> subprocess.Popen:
        """`haechi provision` for all devices at these addresses."""
        places = self.home / "places.txt"
        places.write_text("".join(f"{address}\n" for address in addresses))
        command = [Owner.binary, "provision", "--station", self.maker, "--ledger", self.ledger, "--labels", self.labels]
        command += ["--devices", places, "--at-once", "8", "--json"]
        environment = {**os.environ, "HAECHI_HOME": str(self.home)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, addresses: list[str]) -> subprocess.CompletedProcess:
        process = self.start(addresses)
        out, err = process.communicate(timeout=1800)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def entries(self) -> list[dict]:
        with open(self.ledger, newline="") as file:
            return list(csv.DictReader(file))


def info(address: str, claimant: tuple[str, str]) -> dict:
    """What a device says of itself to whoever has any certificate."""
    certificate, key = claimant
    ask = ["curl", "--silent", "--show-error", "--insecure", "--cert", certificate, "--key", key, f"https://{address}/v1/info"]
    # Whoever stands still in a handshake is left alone with it.
    ask += ["--retry", "5", "--retry-all-errors"]
    return json.loads(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)


def test_a_line_goes_on_where_it_was_cut_and_numbers_each_device_once(tmp_path, forge, dice, torture):
    wanted, places = (DEVICES_OF_TORTURE, PLACES_OF_TORTURE) if torture else (DEVICES, PLACES)
    station = Station(tmp_path)
    claimant = forge.claimant()
    serials: dict[str, str] = {}
    while len(serials) < wanted:
        with ExitStack() as stack:
            devices = [stack.enter_context(VirtualDevice(Owner.maker_certificate())) for _ in range(min(places, wanted - len(serials)))]
            addresses = [f"{LOOPBACK}:{device.wait_until_it_listens().port}" for device in devices]
            for _ in range(CUTS_IN_A_RUN):
                process = station.start(addresses)
                try:
                    process.communicate(timeout=dice.uniform(0, 3))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
            done = station.run(addresses)
            assert done.returncode == 0, done.stdout + done.stderr
            # And again: what is provisioned stays as it is.
            before = station.ledger.read_bytes()
            again = station.run(addresses)
            assert again.returncode == 0, again.stdout + again.stderr
            assert station.ledger.read_bytes() == before
            for address in addresses:
                said = info(address, claimant)
                assert said["lifeCycleState"] == "provisioned" and said["deviceId"] not in serials
                serials[said["deviceId"]] = said["serialNumber"]
    assert len(set(serials.values())) == wanted
    # The last line of each device in the ledger says what the device says, and its label is there and is its own.
    last = {entry["deviceId"]: entry for entry in station.entries()}
    assert {device: entry["serialNumber"] for device, entry in last.items() if entry["state"] == "provisioned"} == serials
    for serial in serials.values():
        label = (station.labels / f"{serial}.txt").read_text()
        assert serial in label and (station.labels / f"{serial}.png").stat().st_size > 0

"""Devices of one owner, started from one image, exchange a reading once an admin approves it; one of another owner is refused by both (T4, T6)."""

import copy
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from machine import Machine, wait_for
from network import GuestNetwork
from owner import Owner

MACS = ("52:54:00:48:61:01", "52:54:00:48:61:02", "52:54:00:48:61:03")


class Neighbourhood(GuestNetwork):
    """A network with a tap for each machine; a device is found by the hardware address of its interface."""

    wanted = MACS[0]

    def __enter__(self) -> "Neighbourhood":
        super().__enter__()
        inside = ("ip", "-n", self.namespace)
        for tap in ("tap1", "tap2"):
            for command in (("tuntap", "add", tap, "mode", "tap"), ("link", "set", tap, "master", "br0"), ("link", "set", tap, "up")):
                subprocess.run([*inside, *command], check=True, capture_output=True)
        return self

    def lease(self) -> str | None:
        return self.given().get(self.wanted)

    def machine(self, number: int) -> Machine:
        machine = Machine("release", net=f"tap:tap{number}", namespace=self.namespace)
        at = machine.command.index("--variant")
        machine.command[at:at] = ["--mac", MACS[number]]
        return machine


class Keeper(Owner):
    """An owner of several devices, each known by an alias."""

    serial_number = "TEST-1"

    def provision(self):
        return self.run("provision", "--station", str(self.maker), "--device", self.address, "--serial-number", self.serial_number)

    @property
    def label_file(self) -> Path:
        return self.home / f"labels/{self.serial_number}.txt"

    def take(self, alias: str) -> "Keeper":
        self.provision()
        self.claim("--alias", alias)
        return self

    def also(self, machine: Machine, network: Neighbourhood, serial_number: str) -> "Keeper":
        """The same owner, beside another device."""
        other = copy.copy(self)
        other.machine, other.serial_number = machine, serial_number
        other.address = f"{network.wait_for_device()}:8443"
        return other

    def peers(self, device: str) -> list[dict]:
        return self.json("peer", "list", "--device", device)["peers"]

    def info(self, device: str) -> dict:
        return self.json("info", "--device", device)


@pytest.fixture(scope="module")
def three():
    """Two devices of one owner, `hall` and `attic`, and one of another, `stranger`: network, owner, other owner."""
    with ExitStack() as stack:
        network = stack.enter_context(Neighbourhood())
        machines = [stack.enter_context(network.machine(number)) for number in range(3)]
        owner = Keeper(machines[0], network).take("hall")
        network.wanted = MACS[1]
        owner.also(machines[1], network, "TEST-2").take("attic")
        network.wanted = MACS[2]
        other = Keeper(machines[2], network)
        other.serial_number = "TEST-3"
        yield network, owner, other.take("stranger")


def test_one_image_makes_devices_with_different_keys(three):
    _, owner, other = three
    devices = [owner.info("hall"), owner.info("attic"), other.info("stranger")]
    assert len({device["deviceId"] for device in devices}) == 3
    assert len({device["firmwareVersion"] for device in devices}) == 1
    assert devices[0]["ownerId"] == devices[1]["ownerId"] != devices[2]["ownerId"]


def test_a_reading_is_exchanged_after_approval_and_not_before_or_after(three):
    _, owner, _ = three
    hall, attic = owner.info("hall")["deviceId"], owner.info("attic")["deviceId"]
    owner.run("peer", "add", "hall", "attic")
    wait_for("the attic to see the hall ask", lambda: any(p["state"] == "asking" and p["deviceId"] == hall for p in owner.peers("attic")), 300)
    wait_for("the link", lambda: owner.peers("hall")[0]["link"] == "connected", 300)
    assert owner.peers("hall")[0]["readings"] == []

    def is_told() -> bool:
        events = owner.json("events", "--device", "attic")["events"]
        return any(event["kind"] == "peer" and event["peer"]["deviceId"] == hall and event["peer"]["state"] == "asking" for event in events)

    wait_for("the attic to tell of it", is_told)

    owner.run("peer", "approve", "attic", "hall", "--scope", "readings:temperature")
    reading = wait_for("a reading", lambda: owner.peers("hall")[0]["readings"], 300)[0]
    assert (reading["name"], reading["unit"]) == ("temperature", "Cel")
    # What the scope does not name is not given, though the attic has it.
    assert "humidity" in {r["name"] for r in owner.json("readings", "--device", "attic")["readings"]}
    assert [r["name"] for r in owner.peers("hall")[0]["readings"]] == ["temperature"]
    wait_for(
        "the product to use it", lambda: "neighbour-temperature" in {r["name"] for r in owner.json("readings", "--device", "hall")["readings"]}, 300
    )

    owner.run("peer", "approve", "attic", "hall")
    withdrawn = time.monotonic()
    wait_for("the exchange to stop", lambda: owner.peers("hall")[0]["readings"] == [], 300, 0.05)
    # For whoever reads the test's words: the plan says a second, and a test on a shared machine does not measure.
    print(f"the exchange stopped {time.monotonic() - withdrawn:.2f} s after its approval was withdrawn")
    owner.run("peer", "remove", "hall", "attic")
    assert owner.peers("hall") == [] and attic not in {p["deviceId"] for p in owner.peers("hall")}
    for device in ("hall", "attic"):
        assert owner.json("guard", "status", "--device", device)["grade"] == "normal"


def test_a_device_of_another_owner_is_refused_by_both(three):
    network, owner, other = three
    stranger = other.info("stranger")["deviceId"]
    for name in ("hall", "attic"):
        info = owner.info(name)
        address = next(d["address"] for d in owner.json("devices")["devices"] if d["alias"] == name)
        # The other owner knows no such device: it is named by its id.
        added = other.run("peer", "add", "stranger", info["deviceId"], "--address", address)
        assert added.returncode == 0

    def both() -> list[dict]:
        # A try that came to nothing by chance has another error, until the next.
        peers = other.peers("stranger")
        return peers if all(peer.get("error", {}).get("code") == "peer-wrong" for peer in peers) else []

    verdicts = wait_for("both verdicts", both, 300, 1)
    assert len(verdicts) == 2 and all(peer["readings"] == [] for peer in verdicts), verdicts
    for name in ("hall", "attic"):
        assert stranger not in {peer["deviceId"] for peer in owner.peers(name)}


def test_a_renewed_device_is_itself(three):
    _, owner, _ = three
    before = owner.info("hall")["deviceId"]
    for _ in range(2):
        done = owner.json("renew", "--device", "hall")
        assert done["deviceId"] == before and done["wasExpired"] is False
    assert owner.info("hall")["deviceId"] == before

"""Discovery: nothing before the owner's word, the right records after it, silence after its end; a peer that is elsewhere is found (T2, T4)."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from capture import Frame, frames
from machine import wait_for
from test_peers import MACS, Keeper, Neighbourhood

ASK = Path(__file__).parent / "ask.py"
A, PTR, AAAA, ANY = 1, 12, 28, 255
SERVICE = "_haechi._tcp.local"
# Answers come within 120 ms and a second's pause.
SILENCE_S = 8


class Air:
    """What is said by multicast DNS on the link of one device, as tcpdump saw it."""

    def __init__(self, network: Neighbourhood, mac: str):
        self.network, self.mac = network, mac
        self.seen = 0

    def said(self, *, is_whole: bool = False) -> list[Frame]:
        """Every UDP packet of the device's from or to the port, as far as tcpdump has come, or (`is_whole`) every one until now."""
        found = frames(self.network.whole_capture() if is_whole else self.network.capture())
        return [frame for frame in found if frame.source_mac == self.mac and 5353 in (frame.source[1], frame.destination[1])]

    def mark(self):
        """From here on `news` tells what is said."""
        self.seen = len(self.said(is_whole=True))

    def news(self, *, is_whole: bool = False) -> list[Frame]:
        return self.said(is_whole=is_whole)[self.seen :]

    def ask(self, name: str, kind: int, *more: str):
        subprocess.run(self.network.command(sys.executable, str(ASK), self.network.router, name, str(kind), *more), check=True, timeout=180)

    def read(self) -> str:
        """The device's packets in the words of tcpdump, which is no program of ours."""
        reading = ["tcpdump", "-n", "-v", "-r", str(self.network.capture()), "ether", "src", self.mac, "and", "udp", "port", "5353"]
        return subprocess.run(reading, capture_output=True, text=True, check=True).stdout

    def assert_silence(self, what: str):
        time.sleep(SILENCE_S)
        assert self.news(is_whole=True) == [], what


@pytest.fixture(scope="module")
def two():
    """Two devices of one owner, `hall` and `attic`, on one link: network, owner, and what the hall says there."""
    with ExitStack() as stack:
        network = stack.enter_context(Neighbourhood())
        machines = [stack.enter_context(network.machine(number)) for number in range(2)]
        owner = Keeper(machines[0], network).take("hall")
        network.wanted = MACS[1]
        owner.also(machines[1], network, "TEST-2").take("attic")
        network.wanted = MACS[0]
        yield network, owner, Air(network, MACS[0])


def state(owner: Keeper, device: str = "hall") -> str:
    return owner.json("status", "--device", device)["network"]["discovery"]


def found(owner: Keeper) -> dict[str, dict]:
    return {device["deviceId"]: device for device in owner.json("discover", "--seconds", "4")["devices"]}


def is_farewell(message: bytes) -> bool:
    """Whether it says four records that live for no time: what follows the class of each is its lifetime."""
    return message[6:8] == b"\0\4" and message.count(b"\0\1\0\0\0\0") + message.count(b"\x80\1\0\0\0\0") == 4


def test_nothing_is_said_before_the_owners_word(two):
    _, owner, air = two
    assert state(owner) == "off"
    for name, kind in ((SERVICE, PTR), ("_services._dns-sd._udp.local", PTR), (f"{owner.info('hall')['deviceId']}.local", A)):
        air.ask(name, kind)
    air.assert_silence("a device that nobody has told to speaks multicast DNS")
    assert air.said() == []
    assert found(owner) == {}


def test_what_is_announced_and_answered_is_the_id_the_address_and_the_port(two):
    network, owner, air = two
    device, address = owner.info("hall")["deviceId"], network.lease()
    owner.run("discovery", "on", "--device", "hall")
    wait_for("the hall to be announced", lambda: state(owner) == "announced")
    wait_for("probes and announcements in the capture", lambda: len(air.said()) >= 5)
    # To the group and from its port alone, and with a hop limit that no router leaves.
    assert {(frame.source, frame.destination) for frame in air.said()} == {((address, 5353), ("224.0.0.251", 5353))}
    air.mark()
    air.ask(SERVICE, PTR)
    wait_for("an answer", lambda: air.news())
    words = air.read()
    assert "ttl 255" in words and "ttl 1," not in words
    for record in (f"PTR {device}.{SERVICE}.", f"SRV {device}.local.:8443", 'TXT "txtvers=1"', f"A {address}"):
        assert record in words, f"{record} is not in {words}"
    # Nobody learns more: neither who owns it nor its serial number, nor that it is a climate node.
    payload = b"".join(frame.payload for frame in air.said())
    for secret in (owner.info("hall")["ownerId"], owner.serial_number, owner.info("hall")["model"]):
        assert secret.encode() not in payload

    air.mark()
    air.ask(f"{device}.local", AAAA)
    wait_for("that there is no IPv6 address", lambda: air.news())
    assert len(air.news(is_whole=True)) == 1


def test_who_is_no_neighbour_or_wants_an_answer_alone_gets_none(two):
    network, _, air = two
    time.sleep(2)
    air.mark()
    address = network.lease()
    # As if a router had passed it on; to the device alone; from another port, which asks for an answer to that port.
    air.ask(SERVICE, PTR, "64")
    air.ask(SERVICE, PTR, "255", "5353", address)
    air.ask(SERVICE, PTR, "255", "49152")
    air.assert_silence("a question that is none of a neighbour's was answered")


def test_the_command_line_finds_it_and_a_peer_is_added_without_an_address(two):
    network, owner, _ = two
    hall, attic = owner.info("hall")["deviceId"], owner.info("attic")["deviceId"]
    # A search lasts for some seconds, and somebody may stand still for as long.
    heard = wait_for("the hall to be heard", lambda: found(owner), 300)
    assert heard == {hall: {"deviceId": hall, "address": network.lease(), "port": 8443, "alias": "hall"}}
    # The address of the hall is forgotten here: the attic is told where it announces itself.
    book = owner.home / "devices.json"
    devices = json.loads(book.read_text())
    for known in devices["devices"]:
        if known["alias"] == "hall":
            del known["address"]
    book.write_text(json.dumps(devices))
    wait_for("the hall to be found and added", lambda: owner.run("peer", "add", "attic", hall, check=False).returncode == 0, 300)
    owner.run("status", "--device", f"{network.lease()}:8443")
    peer = wait_for("the link", lambda: [p for p in owner.peers("attic") if p["link"] == "connected"], 300)[0]
    assert (peer["deviceId"], peer["address"], peer["port"]) == (hall, network.lease(), 8443)
    owner.run("peer", "remove", "attic", hall)
    assert attic not in {p["deviceId"] for p in owner.peers("hall") if p["state"] == "approved"}


def test_a_peer_that_is_not_where_it_was_is_followed_by_its_announcement(two):
    network, owner, _ = two
    attic = owner.info("attic")["deviceId"]
    # Nobody is there.
    owner.run("peer", "add", "hall", "attic", "--address", "192.0.2.99:8443", "--scope", "readings:temperature")
    wait_for("the hall not to reach it", lambda: owner.peers("hall")[0].get("error"), 300)
    owner.run("discovery", "on", "--device", "attic")
    peer = wait_for("a reading", lambda: (p := owner.peers("hall")[0])["readings"] and p["link"] == "connected" and p, 300)
    assert (peer["deviceId"], peer["address"]) == (attic, "192.0.2.99")
    for device in ("hall", "attic"):
        assert owner.json("guard", "status", "--device", device)["grade"] == "normal"
    owner.run("discovery", "off", "--device", "attic")


def test_the_owners_word_ends_it_with_a_good_bye(two):
    network, owner, air = two
    air.mark()
    owner.run("discovery", "off", "--device", "hall")
    wait_for("the hall to be off", lambda: state(owner) == "off")
    # Until then it may look for others.
    wait_for("the good-bye in the capture", lambda: any(is_farewell(frame.payload) for frame in air.news()))
    assert is_farewell(air.news(is_whole=True)[-1].payload)
    # The supervisor closes the flow a few seconds later: then nobody hears even that there is no such port.
    time.sleep(8)
    scan = ("nmap", "-sU", "-p", "5353", "-Pn", "-n", network.lease())
    wait_for("the flow to be closed", lambda: "5353/udp open|filtered" in network.run(*scan), 300, 2)
    air.mark()
    device = owner.info("hall")["deviceId"]
    for name, kind in ((SERVICE, PTR), (f"{device}.{SERVICE}", ANY), (f"{device}.local", A)):
        air.ask(name, kind)
    said = network.run(*scan)
    assert "5353/udp open " not in said and "5353/udp closed" not in said, said
    air.assert_silence("a device whose owner has ended it still speaks multicast DNS")
    assert device not in found(owner)
    # Nothing that it sent was undeclared: it would be in quarantine.
    assert owner.json("guard", "status", "--device", "hall")["grade"] == "normal"

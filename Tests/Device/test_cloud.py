"""The cloud link: what a broker gets, who is a broker, and what happens when it goes (T2, T5, T18)."""

import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from broker import HOST_FROM_GUEST, Cloud, Door, FalseBroker, Listener
from capture import frames, is_tls, streams
from machine import Machine, free_port, wait_for
from network import GuestNetwork
from owner import Owner
from wire import speak

from cryptography.x509.oid import ExtendedKeyUsageOID

RELAY_LINE = "pl061_set_output"
# What a network needs, and the device may send beside TLS.
DECLARED = {"arp", "nd", "mld", "icmp-error", "dhcp", "dns"}
DEVICE_MAC = "52:54:00"


def device_id(owner: Owner) -> str:
    return owner.json("info")["deviceId"]


def wait_until_connected(owner: Owner):
    return wait_for("the device to be connected to its broker", lambda: owner.cloud()["state"] == "connected", 300, 1)


def test_readings_arrive_and_a_command_drives_the_relay():
    # QEMU itself tells of each output that the PL061 drives: a witness outside the guest.
    with Machine("release", extra=("-trace", RELAY_LINE)) as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
        device = device_id(owner)
        with Cloud(owner) as cloud, Listener(cloud, device) as listener:
            assert owner.cloud()["state"] == "unbound"
            cloud.bind()

            online = listener.wait("the status", "status", lambda message: message.document["online"])
            assert online.document["grade"] == "normal" and "schema:haechi.status.v1" in online.properties
            for name, unit in (("temperature", "Cel"), ("humidity", "%")):
                reading = listener.wait(f"a reading of {name}", f"reading/{name}")
                assert (reading.qos, reading.is_retained, reading.content_type) == (1, False, "application/json")
                assert 0 < int(reading.expiry_s) <= 300 and "schema:haechi.reading.v1" in reading.properties
                document = reading.document
                assert set(document) == {"name", "value", "unit", "time", "simulated", "sequence"}
                assert (document["name"], document["unit"], document["simulated"]) == (name, unit, True)

            command, answer = f"haechi/{device}/command/relay", f"haechi/{device}/reply/tests"
            before = machine.complaint.count(RELAY_LINE)
            reply = cloud.ask(command, '{"on":true}', answer)
            assert reply.document == {"name": "relay", "on": True, "safe": False} and reply.content_type == "application/json"
            wait_for("QEMU to report the line", lambda: machine.complaint.count(RELAY_LINE) > before)
            assert {a["name"]: a["on"] for a in owner.json("set")["actuators"]} == {"relay": True}
            for topic, message in ((command, '{"on":"yes"}'), (command, "no JSON"), (f"haechi/{device}/command/reactor", '{"on":true}')):
                refusal = cloud.ask(topic, message, answer)
                assert refusal.content_type == "application/problem+json" and refusal.document["type"].startswith("urn:haechi:problem:")
            # A command that wants no answer is carried out all the same.
            subprocess.run(cloud.client("mosquitto_pub", "-q", "1", "-t", command, "-m", '{"on":false}'), check=True, timeout=180)
            wait_for("the relay to be off", lambda: not owner.json("set")["actuators"][0]["on"])

            machine.power_off()
            listener.wait("the last will", "status", lambda message: not message.document["online"])
            assert machine.serial() == b""


def test_the_wire_holds_only_tls_and_what_a_network_needs():
    with GuestNetwork() as network, Machine("release", net="tap:tap0", namespace=network.namespace) as machine:
        owner = Owner(machine, network).provision_and_claim()
        device = device_id(owner)
        with Cloud(owner) as cloud, Listener(cloud, device) as listener:
            # By name, so that DNS is used too.
            owner.bind(f"{network.broker_name}:{cloud.port}", cloud.authority)
            listener.wait("a reading", "reading/")
            cloud.ask(f"haechi/{device}/command/relay", '{"on":true}', f"haechi/{device}/reply/tests")
            assert owner.json("status")["state"] == "owned"
            spoken = (network.router, cloud.port)
            found = frames(network.whole_capture())

        own = [frame for frame in found if frame.source_mac.startswith(DEVICE_MAC)]
        served = (network.lease(), 8443)
        undeclared = [
            frame
            for frame in own
            if frame.kind not in DECLARED and not (frame.kind == "tcp" and (frame.source == served or frame.destination == spoken))
        ]
        assert undeclared == []
        assert {"dhcp", "dns", "arp"} <= {frame.kind for frame in own}
        assert all(frame.destination == (network.router, 53) for frame in own if frame.kind == "dns")
        by_port = {8443: 0, cloud.port: 0}
        for (source, destination, _), stream in streams(found).items():
            assert is_tls(stream), f"{source} to {destination} is not TLS: {stream[:64]!r}"
            for port in by_port:
                by_port[port] += len(stream) if port in (source[1], destination[1]) else 0
        assert all(by_port.values()), by_port


@pytest.fixture
def false_broker(forge, owned_release):
    """Makes a broker with the faults that a test names; the device is bound to its authority, or to the one that it should have."""
    _, owner = owned_release

    def make(*, authority="right", host=HOST_FROM_GUEST, maximum=ssl.TLSVersion.TLSv1_3, **certificate) -> tuple[FalseBroker, Path]:
        right, right_key, right_file = forge.authority("right")
        wrong, wrong_key, _ = forge.authority("wrong")
        issuer = (right, right_key) if authority == "right" else (wrong, wrong_key)
        pair = forge.server("broker", *issuer, host=host, **certificate)
        return FalseBroker(*pair, owner.authority, maximum), right_file

    return make


def test_a_flawless_broker_of_the_same_making_gets_a_connect_packet(owned_release, false_broker):
    """The control of every refusal below."""
    owner = owned_release[1]
    broker, authority = false_broker()
    with broker:
        owner.bind(broker.as_seen_by_device, authority)
        attempt = wait_for("a connection", lambda: next((a for a in broker.attempts if a.application_bytes), None), 300)
    # CONNECT of MQTT 5 (section 3.1): type 1, the protocol's name, version 5.
    assert attempt.application_bytes[0] == 0x10 and b"\x00\x04MQTT\x05" in attempt.application_bytes[:12]


FAULTS = {
    "wrong-ca": ({"authority": "wrong"}, {"certificate-untrusted"}),
    "wrong-name": ({"host": "broker.example"}, {"certificate-profile", "certificate-invalid", "certificate-name"}),
    "wrong-address": ({"host": "10.0.2.3"}, {"certificate-profile", "certificate-invalid", "certificate-name"}),
    "expired": ({"starts_in_days": -9, "ends_in_days": -1}, {"certificate-expired"}),
    "a-clients-certificate": ({"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, {"certificate-purpose", "certificate-invalid"}),
    "tls-1.2": ({"maximum": ssl.TLSVersion.TLSv1_2}, {"peer-alert", "unsupported-version"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_broker_gets_no_application_byte(owned_release, false_broker, fault):
    machine, owner = owned_release
    changes, codes = FAULTS[fault]
    broker, authority = false_broker(**changes)
    known = len(owner.events("cloud"))
    with broker:
        owner.bind(broker.as_seen_by_device, authority)
        # The binding before this one may have tried, too.
        broker.attempts.clear()
        wait_for("three attempts", lambda: len(broker.spoken()) >= 3, 300, 0.5)
        # The local API is unaffected while the device tries.
        assert speak(machine.port, certificate=owner.credentials[0], key=owner.credentials[1]).application_bytes.startswith(b"HTTP/1.1 200 ")
        # A try that somebody stood still in has a reason of its own, until the next.
        state = wait_for("its reason", lambda: (now := owner.cloud()).get("error", {}).get("code") in codes and now, 300, 1)
        wait_for("the event", lambda: state["error"]["code"] in {event.get("code") for event in owner.events("cloud")[known:]})
        attempts = list(broker.attempts)
    # Plain bytes would not get through this server's handshake either: what came first on the wire was TLS, and the handshake failed.
    assert {attempt.first_bytes for attempt in attempts if attempt.first_bytes} == {b"\x16\x03\x01"}
    assert all(attempt.error for attempt in attempts), attempts
    assert [attempt.application_bytes for attempt in attempts] == [b""] * len(attempts)
    assert state["state"] in ("waiting", "connecting") and state["error"]["reason"], state


def test_a_broker_that_stays_wrong_is_asked_more_and_more_seldom(owned_release, false_broker):
    owner = owned_release[1]
    broker, authority = false_broker(authority="wrong")
    with broker:
        owner.bind(broker.as_seen_by_device, authority)
        broker.attempts.clear()
        wait_for("eight attempts", lambda: len(broker.attempts) >= 8, 600, 1)
        attempts = list(broker.attempts)
    # Each wait is random between nothing and a bound that doubles from one second on (docs/protocol.md): seven of them come to about a minute, and
    # to less than six seconds in about one of eighty thousand runs. Without back-off they would come to nothing.
    pauses = [later.at_s - sooner.ended_s for sooner, later in zip(attempts, attempts[1:8], strict=False)]
    assert sum(pauses) > 6, pauses


def test_the_broker_crashes_ten_times_under_load_and_nothing_acknowledged_is_lost(dice, torture):
    with Machine("release") as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
        device = device_id(owner)
        with Cloud(owner, free_port()) as cloud, Door(cloud) as door, Listener(cloud, device, qos=0) as listener:
            owner.bind(door.as_seen_by_device, cloud.authority)
            listener.wait("a reading", "reading/")
            before = owner.json("status")
            # What was dropped before the first connection is no excuse for what is missing after it.
            first, dropped = {topic: max(heard) for topic, heard in sequences(listener).items()}, owner.cloud()["dropped"]

            is_over, answers = threading.Event(), []
            load = threading.Thread(target=ask_without_end, args=(machine, owner, is_over, answers))
            load.start()
            try:
                for _ in range(100 if torture else 10):
                    connections = owner.cloud()["connections"]
                    is_over.wait(dice.uniform(0, 4))
                    cloud.crash()
                    door.shut()
                    is_over.wait(dice.uniform(0, 3))
                    cloud.start()
                    # Who is not there cannot hear: the device comes in only after the witness.
                    listener.wait_until_it_hears()
                    door.is_open = True
                    wait_for("the device to come back", lambda n=connections: owner.cloud()["connections"] > n, 300, 1)
            finally:
                is_over.set()
                load.join(400)
            assert answers and set(answers) == {b"HTTP/1.1 200 "}
            wait_until_connected(owner)
            newest = max(sequences(listener)["reading/temperature"])
            wait_for("a later reading", lambda: max(sequences(listener)["reading/temperature"]) > newest, 300)

            state, after = owner.cloud(), owner.json("status")
            assert after["startCount"] == before["startCount"] == 1
            # Room for caches that fill once; a leak of some kilobytes a connection would be beyond it in a long campaign.
            assert after["memory"]["residentBytes"] <= before["memory"]["residentBytes"] + 2 * 1024 * 1024

            def missing() -> dict[str, set[int]]:
                return {topic: set(range(first.get(topic, 1), max(heard) + 1)) - heard for topic, heard in sequences(listener).items()}

            # Every number is there, or on its way, but those of messages that the device says it dropped because there was no connection.
            try:
                wait_for("the rest", lambda: sum(map(len, missing().values())) <= owner.cloud()["dropped"] - dropped)
            except AssertionError:
                raise AssertionError(f"{missing()} are missing; {state}") from None
            assert state["acknowledged"] >= sum(map(len, sequences(listener).values())) / 2
            assert machine.serial() == b""


def sequences(listener: Listener) -> dict[str, set[int]]:
    """The device numbers the readings of each name."""
    heard: dict[str, set[int]] = {}
    for message in listener.messages("reading/"):
        heard.setdefault(message.topic.removeprefix(f"{listener.topic}/"), set()).add(message.document["sequence"])
    return heard


def ask_without_end(machine: Machine, owner: Owner, is_over: threading.Event, answers: list[bytes]):
    """Load on the local API, and its answers' first bytes."""
    certificate, key = owner.credentials
    while not is_over.is_set():
        answers.append(speak(machine.port, certificate=certificate, key=key).application_bytes[:13])

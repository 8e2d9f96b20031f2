"""The guard: what raises the grade, what a runtime that was taken over can do about it, and who brings it back (T17)."""

import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from broker import Cloud, Listener
from capture import frames
from machine import ROOT, Machine, wait_for
from network import GuestNetwork
from owner import Owner
from pki import load_certificate, load_key, sign
from simulator import relay_is_on

from cryptography.hazmat.primitives import serialization

HOSTILE = ROOT / "Images/out/qemu-virt-debug-hostile"
KNOCK = Path(__file__).parent / "knock.py"
DEVICE_MAC = "52:54:00"
UNDECLARED = "198.51.100.1"


def test_bad_certificates_restrict_the_device_which_serves_its_owner_and_recovers_by_itself(forge):
    with GuestNetwork() as network, Machine("release", net="tap:tap0", namespace=network.namespace) as machine:
        stranger = network.add_host("192.0.2.66")
        owner = Owner(machine, network).provision_and_claim()
        device = owner.json("info")["deviceId"]
        certificate, key = forge.make("stranger")
        address = network.lease()
        with Cloud(owner) as cloud, Listener(cloud, device) as listener:
            cloud.bind()
            listener.wait("a reading", "reading/")
            assert owner.guard()["grade"] == "normal"

            attack = subprocess.Popen(
                network.command(sys.executable, str(KNOCK), address, "8443", "200", str(certificate), str(key), stranger),
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                state = wait_for("the grade restricted", lambda: (now := owner.guard())["grade"] == "restricted" and now, 300)
                assert state["cause"] == "authentication-failures" and stranger in state["evidence"] and state["decaysInMilliseconds"] > 0
                # The owner gets in from elsewhere, reads and drives; so does one who shares the stranger's address, after a while.
                assert owner.json("set", "relay", "on")["on"] is True
                assert request_from(owner, stranger, device).startswith("200")
            finally:
                said = dict(line.rsplit(" ", 1) for line in attack.communicate(timeout=1200)[0].splitlines())
            assert said["let in"] == "0" and int(said["refused"]) > 20, said
            listener.wait("the event at the cloud", "event", lambda message: message.document["grade"] == "restricted")

            wait_for("the grade to decay", lambda: owner.guard()["grade"] == "normal", 300, 2)
            assert owner.guard()["cause"] == "decayed"
            grades = wait_for("the event", lambda: (g := [event["grade"] for event in owner.events("grade")]) and g[-1] == "normal" and g)
            assert grades[0] == "restricted" and set(grades) == {"restricted", "normal"}
            assert {a["name"]: a["on"] for a in owner.json("set")["actuators"]} == {"relay": True}
        assert owner.json("status")["startCount"] == 1 and machine.serial() == b""


def request_from(owner: Owner, source: str, device: str) -> str:
    """The status of one request of the owner's that comes from another address."""
    name = f"haechi-{device}.local"
    certificate, key = owner.credentials
    address, port = owner.address.rsplit(":", 1)
    command = ["curl", "--silent", "--show-error", "--tlsv1.3", "--interface", source, "--cacert", str(owner.authority)]
    command += ["--cert", str(certificate), "--key", str(key), "--resolve", f"{name}:{port}:{address}"]
    # Without a pause of its own it doubles its pauses, and is gone for minutes.
    command += ["--max-time", "60", "--retry", "100", "--retry-all-errors", "--retry-delay", "2", "--retry-max-time", "500"]
    command += ["--write-out", "%{http_code}", "--output", "/dev/null", f"https://{name}:{port}/v1/status"]
    return subprocess.run(owner.inside(*command), capture_output=True, text=True, timeout=600).stdout


def attempt(machine: Machine, owner: Owner, number: int) -> list[str]:
    """One press of the button of the hostile product, and what it says that it did."""
    machine.press_button()
    wait_for(f"attack {number}", lambda: any(text == f"attack {number}: done" for text in owner.log()), 300, 1)
    return [text for text in owner.log() if text.startswith(f"attack {number}: ")]


def statement(kind: int, device: str, event: int, nonce: str) -> bytes:
    """What an owner's statement without a body signs (docs/protocol.md)."""
    words = b"haechi-statement-1\0" + bytes([kind]) + bytes.fromhex(device) + event.to_bytes(8, "big") + bytes.fromhex(nonce)
    return words + (0).to_bytes(2, "big")


def hand_over(machine: Machine, owner: Owner, device: str, old: dict):
    """Gives the runtime what one that was taken over has seen: the present nonce, the admin's certificate, a release of another event."""
    certificate = load_certificate(owner.credentials[0]).public_bytes(serialization.Encoding.DER).hex()
    signature = sign(load_key(owner.credentials[1]), statement(1, device, old["event"], old["nonce"])).hex()
    now = owner.guard()
    facts = {
        "device": device, "event": now["event"], "nonce": now["nonce"], "certificate": certificate,
        "old-event": old["event"], "old-nonce": old["nonce"], "old-signature": signature,
    }  # fmt: skip
    text = "\\n".join(f"{key}={value}" for key, value in facts.items())
    # In pieces, because a line that is typed has its limits.
    file = "/run/haechi/data/state/stolen"
    for at in range(0, len(text), 400):
        machine.shell(f"echo -n '{text[at : at + 400]}' >> {file}-pieces")
    machine.shell(f'printf "$(cat {file}-pieces)\\n" > {file}; rm {file}-pieces')
    assert str(now["nonce"]) in machine.shell(f"cat {file}")


def test_a_runtime_that_was_taken_over_can_neither_reach_anyone_nor_free_itself():
    with (
        GuestNetwork() as network,
        Machine("debug", image=HOSTILE, serial_on_stdio=True, net="tap:tap0", namespace=network.namespace) as machine,
    ):
        owner = Owner(machine, network).provision_and_claim()
        device = owner.json("info")["deviceId"]
        owner.run("member", "add", "vera", "--role", "viewer")
        with Cloud(owner) as cloud, Listener(cloud, device) as listener:
            cloud.bind()
            listener.wait("a reading", "reading/")
            owner.run("set", "relay", "on")
            assert relay_is_on(machine) and owner.run("status", "--as", "vera").returncode == 0
            old = owner.guard()
            assert old["grade"] == "normal"

            # An address that nobody declared: dropped by the kernel, counted, and reason enough.
            tried = attempt_undeclared(machine, owner)
            assert any("UDP" in text and ": socket:" not in text for text in tried), tried
            quarantined = owner.guard()
            assert quarantined["cause"] == "undeclared-egress" and "decaysInMilliseconds" not in quarantined
            assert not relay_is_on(machine)
            listener.wait("the event at the cloud", "event", lambda message: message.document["grade"] == "quarantined")
            assert owner.run("set", "relay", "on", check=False).returncode != 0
            assert owner.run("status", "--as", "vera", check=False).returncode != 0
            began_s = time.time()
            # What the broker had by now is here.
            listener.wait_until_it_hears()
            readings = len(listener.messages("reading/"))

            hand_over(machine, owner, device, old)
            for number in (2, 3, 4, 5, 6):
                tried = attempt(machine, owner, number)
                assert any(": sent" in text or (number == 6 and "relay on: not-in-this-grade" in text) for text in tried), tried
                state = owner.guard()
                assert [state[key] for key in ("grade", "cause", "event", "nonce")] == [
                    quarantined[key] for key in ("grade", "cause", "event", "nonce")
                ], tried
                bound = owner.cloud()
                assert (bound["host"], bound["port"]) == (network.router, cloud.port), tried
                assert not relay_is_on(machine), tried
            assert owner.json("status")["startCount"] == 1

            # A message that there is not ends the runtime; the next one is born into the same quarantine.
            machine.press_button()
            wait_for("another runtime", lambda: start_of(owner) == (2, "violation"), 300, 1)
            listener.wait_until_it_hears()
            assert owner.guard()["grade"] == "quarantined" and not relay_is_on(machine)
            assert len(listener.messages("reading/")) == readings

            found = [frame for frame in frames(network.whole_capture()) if frame.source_mac.startswith(DEVICE_MAC)]
            assert not any(UNDECLARED in (frame.source[0], frame.destination[0]) or UNDECLARED in frame.kind for frame in found)
            quiet = [frame for frame in found if frame.time_s > began_s]
            served, alert = (network.lease(), 8443), (network.router, cloud.port)
            others = [
                frame
                for frame in quiet
                if frame.kind not in ("arp", "nd", "mld", "icmp-error", "dhcp")
                and not (frame.kind == "tcp" and (frame.source == served or frame.destination == alert))
            ]
            assert others == [] and quiet

            # The owner brings everything back.
            owner.run("guard", "release")
            released = owner.guard()
            assert (released["grade"], released["cause"]) == ("normal", "released") and released["event"] > quarantined["event"]
            wait_for("readings again", lambda: len(listener.messages("reading/")) > readings, 300)
            assert owner.json("set", "relay", "on")["on"] is True and relay_is_on(machine)
            assert owner.run("status", "--as", "vera").returncode == 0
            # Both changes reached the cloud.
            grades = wait_for("the last change", lambda: (g := [m.document["grade"] for m in listener.messages("event")]) and g[-1] == "normal" and g)
            assert "quarantined" in grades


def same_quarantine(now: dict, then: dict) -> bool:
    """The quarantine of before a restart: all of it but its nonce, which belongs to one start of the machine."""
    told = ("grade", "cause", "evidence", "event")
    return [now[key] for key in told] == [then[key] for key in told] and now["nonce"] != then["nonce"] and now["sinceMicroseconds"] == 0


def release_again(owner: Owner, device: str, then: dict) -> subprocess.CompletedProcess:
    """Sends a release of the admin's that was signed when the state was this one."""
    certificate, key = owner.credentials
    signature = sign(load_key(key), statement(1, device, then["event"], then["nonce"])).hex()
    body = {"event": then["event"], "nonce": then["nonce"], "certificate": certificate.read_text(), "signature": signature}
    name = f"haechi-{device}.local"
    address, port = owner.address.rsplit(":", 1)
    command = ["curl", "--silent", "--show-error", "--tlsv1.3", "--cacert", str(owner.authority), "--cert", str(certificate), "--key", str(key)]
    command += ["--resolve", f"{name}:{port}:{address}", "--header", "Content-Type: application/json", "--data", json.dumps(body)]
    # Whoever stands still in a handshake is left alone with it. An answer is one, whatever it says.
    command += ["--max-time", "60", "--retry", "5", "--retry-all-errors"]
    return subprocess.run(owner.inside(*command, f"https://{name}:{port}/v1/guard/release"), capture_output=True, text=True, timeout=600)


def test_a_quarantine_and_the_owners_word_outlive_restarts_of_the_machine(tmp_path):
    """Whoever has taken over the runtime can bring about a restart, and fill the volume before: neither frees the device."""
    folder = tmp_path / "device"
    folder.mkdir()
    neighbour, place = "00112233445566778899", "192.0.2.77:8443"
    with GuestNetwork() as network, ExitStack() as stack:

        def boot() -> Machine:
            return stack.enter_context(
                Machine("debug", image=HOSTILE, serial_on_stdio=True, net="tap:tap0", namespace=network.namespace, device=folder)
            )

        machine = boot()
        owner = Owner(machine, network).provision_and_claim()
        device = owner.json("info")["deviceId"]

        def again():
            owner.machine = boot()
            wait_for("the device to answer", lambda: owner.run("status", check=False).returncode == 0, 600, 1)
            return owner.machine

        def link_to_neighbour() -> str:
            return next(peer["link"] for peer in owner.json("peer", "list")["peers"] if peer["deviceId"] == neighbour)

        with Cloud(owner) as cloud, Listener(cloud, device) as listener:
            cloud.bind()
            owner.run("peer", "add", owner.json("info")["deviceId"], neighbour, "--address", place)
            listener.wait("a reading", "reading/")
            wait_for("the neighbour's place to be declared", lambda: link_to_neighbour() != "undeclared", 300, 1)
            assert machine.shell("ls -ldn /run/haechi/data/supervisor").split()[:4] == ["drwx------", "2", "0", "0"]

            machine.shell("dd if=/dev/zero of=/run/haechi/data/state/fill bs=1048576", 600)
            before = believed(machine)
            attempt_undeclared(machine, owner)
            quarantined = owner.guard()
            assert (quarantined["grade"], quarantined["cause"]) == ("quarantined", "undeclared-egress")
            # It is in force at once, and kept by a process that takes its time: one copy is on the medium before the other is written.
            wait_for("the quarantine to be kept", lambda: all(new != old for new, old in zip(believed(machine), before, strict=True)))
            listener.wait("the event at the cloud", "event", lambda message: message.document["grade"] == "quarantined")
            machine.cut_power()

            events = len(listener.messages("event"))
            machine = again()
            assert same_quarantine(owner.guard(), quarantined)
            # The alert goes out to the broker that nobody has named since.
            wait_for("the alert after the restart", lambda: len(listener.messages("event")) > events, 600, 1)
            assert owner.run("set", "relay", "on", check=False).returncode != 0 and not relay_is_on(machine)
            assert link_to_neighbour() == "undeclared"
            refused = release_again(owner, device, quarantined)
            assert "urn:haechi:problem:statement-stale" in refused.stdout, refused

            # In order: PID 1 is asked to end.
            machine.shell("rm -f /run/haechi/data/state/fill")
            machine.type("kill -TERM 1\n")
            wait_for("the machine to be off", lambda: not machine.running, 300)
            machine = again()
            assert same_quarantine(owner.guard(), quarantined)

            owner.run("guard", "release")
            readings = len(listener.messages("reading/"))
            wait_for("readings again", lambda: len(listener.messages("reading/")) > readings, 300)
            machine.cut_power()
            machine = again()
            assert owner.guard()["grade"] == "normal"
            readings = len(listener.messages("reading/"))
            wait_for("readings, with nothing said again", lambda: len(listener.messages("reading/")) > readings, 300)
            wait_for("the neighbour's place, with nothing said again", lambda: link_to_neighbour() != "undeclared", 300, 1)


def believed(machine: Machine) -> list[str]:
    """The checksums of both copies of what the supervisor believes."""
    look = "for at in 0 1; do dd if=/run/haechi/data/supervisor/beliefs bs=16384 skip=$at count=1 2>/dev/null | sha256sum; done"
    return re.findall(r"\b[0-9a-f]{64}\b", machine.shell(look))


def start_of(owner: Owner) -> tuple[int, str] | None:
    """Which start of the runtime answers, and why it was started; nothing while none does."""
    done = owner.run("status", "--json", check=False)
    if done.returncode != 0:
        return None
    status = json.loads(done.stdout)
    return status["startCount"], status["startCause"]


def attempt_undeclared(machine: Machine, owner: Owner) -> list[str]:
    tried = attempt(machine, owner, 1)
    wait_for("quarantine", lambda: owner.guard()["grade"] == "quarantined", 300, 0.5)
    return tried

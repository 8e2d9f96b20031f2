"""The release image: it serves its owner and is silent everywhere else (T1, T2, T9, T10)."""

import json
import subprocess

import pytest
from machine import ROOT, Machine, wait_for
from network import GuestNetwork
from owner import Owner
from wire import speak_plaintext

IMAGE = ROOT / "Images/out/qemu-virt-release"


def test_the_owner_reads_and_drives_it_in_96_MB(owned_release):
    machine, owner = owned_release
    status = owner.json("status")
    assert status["state"] == "owned"
    assert [phase["outcome"] for phase in status["bootPhases"]].count("failed") == 0, status["bootPhases"]
    names = {reading["name"] for reading in owner.json("readings")["readings"]}
    assert {"temperature", "humidity"} <= names
    owner.run("set", "relay", "on")
    assert owner.json("set", "relay", "on")["on"] is True
    owner.run("set", "relay", "off")
    assert machine.serial() == b""


def test_the_relay_line_of_the_machine_really_changes():
    # QEMU itself tells of each output that the PL061 drives: a witness outside the guest.
    with Machine("release", extra=("-trace", "pl061_set_output")) as machine:
        owner = Owner(machine.wait_until_it_listens()).provision_and_claim()
        # The relay is output 0; the light, output 1, changes by itself.
        for word, level in (("on", 1), ("off", 0)):
            change = f"setting output 0 to {level}\n"
            before = machine.complaint.count(change)
            owner.run("set", "relay", word)
            wait_for("QEMU to report the line", lambda change=change, before=before: machine.complaint.count(change) > before)


def test_the_firmware_is_at_most_16_MB():
    manifest = json.loads((IMAGE / "manifest.json").read_text())
    size = (IMAGE / "firmware.efi").stat().st_size
    assert manifest["files"]["firmware.efi"]["bytes"] == size
    assert size <= 16 * 1024 * 1024


def test_an_evaluator_finds_nothing_in_the_image():
    done = subprocess.run([ROOT / "Images/inspect", IMAGE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_inspector_finds_the_shell_of_the_debug_image():
    done = subprocess.run([ROOT / "Images/inspect", ROOT / "Images/out/qemu-virt-debug"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "busybox" in done.stdout


def test_the_serial_line_says_nothing_whatever_is_typed():
    with Machine("release", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        machine.type("\r\n\x03\x04root\r\nsh\r\n\x1b[A")
        assert machine.flood(b"A" * 1_000_000) > 0
        machine.wait_until_it_listens()
        machine.qmp("system_powerdown")
        assert machine.serial() == b""


def test_one_port_is_open_and_the_wire_holds_only_what_is_declared():
    with GuestNetwork() as network, Machine("release", net="tap:tap0", namespace=network.namespace) as machine:
        address = wait_for("a DHCP lease", network.lease, 120)
        reach = ("openssl", "s_client", "-connect", f"{address}:8443", "-tls1_3")
        wait_for("TLS at the leased address", lambda: "BEGIN CERTIFICATE" in network.run("timeout", "20", *reach), 120)
        scan = network.run("nmap", "-Pn", "-n", "-p-", "--min-rate", "4000", "--max-retries", "5", address)
        open_ports = [line.split("/")[0] for line in scan.splitlines() if "/tcp" in line and "open" in line]
        assert open_ports == ["8443"]
        assert machine.running
        # What the device itself sent: from its hardware address, anything but the declared protocols.
        mac = "52:54:00"
        undeclared = (
            "not arp and not icmp and not icmp6 and not (udp port 67 or udp port 68) and not udp port 53 and not tcp src port 8443 "
            # Multicast listener reports: ICMPv6 behind a hop-by-hop header (RFC 3810 section 5).
            "and not (ip6[6] == 0 and ip6[40] == 58) "
            # A closed port answers a scan with a reset; that is not traffic of the device's own.
            "and not (tcp[tcpflags] & tcp-rst != 0)"
        )
        sent = network.run("tcpdump", "-n", "-e", "-r", str(network.capture_file), undeclared)
        assert [line for line in sent.splitlines() if line.split()[1].startswith(mac)] == []
        total = network.run("tcpdump", "-n", "-r", str(network.capture_file))
        assert "BOOTP/DHCP" in total and ".8443" in total


@pytest.mark.parametrize("planted", ["initrd", "append", "smbios"])
def test_what_is_planted_from_outside_has_no_effect(planted, tmp_path):
    """A foreign initrd, foreign kernel arguments, SMBIOS strings: the device that answers is the same one, in the same state."""
    if planted == "initrd":
        archive = tmp_path / "initrd.cpio"
        tree = tmp_path / "tree"
        tree.mkdir()
        (tree / "init").write_text("#!/bin/sh\nexec /bin/sh\n")
        (tree / "init").chmod(0o755)
        subprocess.run("find . | cpio -o -H newc > ../initrd.cpio", shell=True, cwd=tree, check=True, capture_output=True)
        extra = ("-initrd", str(archive))
    elif planted == "append":
        extra = ("-append", "init=/nowhere rdinit=/nowhere console=ttyAMA0 earlycon single ip=192.0.2.9")
    else:
        extra = ("-smbios", "type=11,value=io.systemd.credential:passwd.hashed-password.root=x,value=rdinit=/nowhere")
    with Machine("release", extra=extra) as machine:
        machine.wait_until_it_listens()
        Owner(machine).provision()
        assert machine.serial() == b""


def test_plain_protocols_are_dropped(blank_release):
    for greeting in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00", b"\xff\xfb\x01root\r\n"):
        answer = speak_plaintext(blank_release.port, greeting)
        # At the most one TLS alert record: type 21, seven bytes in all (RFC 8446 section 5.1).
        assert answer == b"" or (answer[0] == 21 and len(answer) == 7), answer
    assert blank_release.listens()

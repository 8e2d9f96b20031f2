"""TLS of an owned device: who gets in, who gets an alert, and what the field's own scanners say (T3, T4, T6)."""

import json
import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from machine import LOOPBACK, ROOT
from pki import DEVICE, PERSON, STATION, load_certificate, load_key
from wire import speak, unless_it_stood_still

from cryptography.x509.oid import ExtendedKeyUsageOID

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
PATIENT_SSLYZE = Path(__file__).parent / "patientsslyze.py"


def credentials(owner):
    return owner.home / "owner/members/operator.pem", owner.home / "owner/members/operator.key"


def own_authority(owner):
    return load_certificate(owner.authority), load_key(owner.authority.with_suffix(".key"), owner.passphrase)


def owner_uri(authority) -> str:
    owner_id = authority.subject.rfc4514_string().rsplit(" ", 1)[1]
    return f"haechi://{owner_id}/person/mallory"


def test_the_owner_gets_in(owned_release):
    machine, owner = owned_release
    answer = speak(machine.port, certificate=credentials(owner)[0], key=credentials(owner)[1])
    assert answer.application_bytes.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=63072000" in answer.application_bytes.lower()


def test_a_genuine_certificate_made_by_another_library_gets_in(owned_release, forge):
    """The control of every refusal below: without a fault, the same forge's certificate is accepted."""
    machine, owner = owned_release
    authority, key = own_authority(owner)
    pair = forge.make("good", issuer=authority, issuer_key=key, uri=owner_uri(authority))
    assert speak(machine.port, certificate=pair[0], key=pair[1]).application_bytes.startswith(b"HTTP/1.1 200 ")


FAULTS = {
    "expired": {"starts_in_days": -9, "ends_in_days": -1},
    "not-yet-valid": {"starts_in_days": 5, "ends_in_days": 9},
    "station": {"usages": (STATION, CLIENT)},
    "device": {"usages": (DEVICE, CLIENT)},
    "server-only": {"usages": (PERSON, ExtendedKeyUsageOID.SERVER_AUTH)},
    "no-person-usage": {"usages": (CLIENT,)},
    "unknown-role": {"role": "emperor"},
    "no-role": {"role": None},
    "foreign-uri": {"uri": "haechi://ffffffffffffffffffff/person/mallory"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_certificate_with_one_fault_gets_an_alert(owned_release, forge, fault):
    machine, owner = owned_release
    authority, key = own_authority(owner)
    pair = forge.make(fault, **{"issuer": authority, "issuer_key": key, "uri": owner_uri(authority), **FAULTS[fault]})
    answer = speak(machine.port, certificate=pair[0], key=pair[1])
    assert answer.is_refused_by_alert, answer


def test_no_certificate_gets_an_alert(owned_release):
    assert speak(owned_release[0].port).is_refused_by_alert


def test_a_self_signed_certificate_gets_an_alert(owned_release, forge):
    pair = forge.make("self-signed")
    assert speak(owned_release[0].port, certificate=pair[0], key=pair[1]).is_refused_by_alert


def test_the_makers_own_certificates_get_an_alert(owned_release, forge):
    machine, owner = owned_release
    pair = forge.make("maker", issuer=load_certificate(owner.maker / "maker-ca.pem"), issuer_key=load_key(owner.maker / "maker-ca.key"))
    assert speak(machine.port, certificate=pair[0], key=pair[1]).is_refused_by_alert
    assert speak(machine.port, certificate=owner.maker / "station.pem", key=owner.maker / "station.key").is_refused_by_alert


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1])
def test_an_older_protocol_gets_an_alert(owned_release, version):
    machine, owner = owned_release
    answer = speak(machine.port, certificate=credentials(owner)[0], key=credentials(owner)[1], maximum=version)
    assert answer.is_refused_by_alert, answer


def server_name(owner) -> str:
    return f"haechi-{owner.json('info')['deviceId']}.local"


def test_curl_agrees(owned_release):
    machine, owner = owned_release
    name = server_name(owner)
    certificate, key = credentials(owner)
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--tlsv1.3",
        "--cacert",
        owner.authority,
        "--resolve",
        f"{name}:{machine.port}:{LOOPBACK}",
    ]
    url = f"https://{name}:{machine.port}/v1/status"

    def run(*more) -> subprocess.CompletedProcess:
        return unless_it_stood_still(
            lambda: subprocess.run([*command, *more, url], capture_output=True, text=True, timeout=120),
            lambda done: done.returncode == 0 or "alert" in done.stderr,
        )

    done = run("--cert", certificate, "--key", key)
    assert json.loads(done.stdout)["state"] == "owned", done.stderr
    # One that is late with its request finds the connection closed, and does not read why.
    tries = [run() for _ in range(3)]
    assert all(refused.returncode != 0 and refused.stdout == "" for refused in tries), tries
    assert any("alert" in refused.stderr for refused in tries), tries


def test_testssl_gives_a_plus(owned_release, tmp_path):
    machine, owner = owned_release
    certificate, key = credentials(owner)
    both = tmp_path / "client.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    (tmp_path / "owner-ca.pem").write_bytes(owner.authority.read_bytes())
    report = tmp_path / "report.json"
    target = f"{server_name(owner)}:{machine.port}"
    done = subprocess.run(
        [
            ROOT / "Toolchain/in-tools", "--bind", tmp_path, "testssl", "--quiet", "--color", "0", "--warnings", "batch", "--mtls", both,
            "--add-ca", tmp_path / "owner-ca.pem", "--ip", LOOPBACK, "--nodns", "none", "--jsonfile", report, target,
        ],
        # Two of its connections that fail, in which somebody may have stood still, and it would give up.
        env={**os.environ, "MAX_SOCKET_FAIL": "20", "MAX_OSSL_FAIL": "20"},
        capture_output=True,
        text=True,
        timeout=3600,
    )  # fmt: skip
    findings = {item["id"]: item for item in json.loads(report.read_text())}
    assert findings["overall_grade"]["finding"] == "A+", done.stdout
    assert findings["TLS1_3"]["finding"].startswith("offered")
    assert findings["TLS1_2"]["finding"].startswith("not offered")
    # An owner's CA has no public list of revocations to name: its devices are told by the owner.
    private = {"cert_revocation"}
    serious = [item for item in findings.values() if item["severity"] in ("HIGH", "CRITICAL") and item["id"] not in private]
    assert serious == [], serious


def test_sslyze_finds_mozilla_modern(owned_release, tmp_path):
    machine, owner = owned_release
    certificate, key = credentials(owner)
    done = subprocess.run(
        [
            ROOT / "Toolchain/python-tool", "python3", PATIENT_SSLYZE, "--slow_connection", "--mozilla_config=modern",
            f"--cert={certificate}", f"--key={key}", f"--certinfo_ca_file={owner.authority}",
            f"--sni={server_name(owner)}", f"{LOOPBACK}:{machine.port}",
        ],
        capture_output=True,
        text=True,
        timeout=3600,
    )  # fmt: skip
    assert re.search(r"OK - Compliant", done.stdout), done.stdout + done.stderr

"""Certificates that are almost right: each refused before any application byte, each with its reason in the log, none with a crash (T4, T6)."""

import pytest
from badcertificates import CASES, Signer, Workshop
from cryptography.hazmat.primitives import serialization
from handshake import Handshake, Outcome
from machine import wait_for
from pki import load_certificate, load_key
from wire import REQUEST, ask, unless_it_stood_still

ALERT_NAMES = {
    "bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired", "certificate_unknown", "unknown_ca", "decode_error",
    "decrypt_error", "illegal_parameter", "certificate_required", "handshake_failure", "unexpected_message", "internal_error",
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(owned_device) -> Workshop:
    _, owner = owned_device
    authority = load_certificate(owner.authority)
    key = load_key(owner.authority.with_suffix(".key"), owner.passphrase)
    maker = Signer.of(load_certificate(owner.maker / "maker-ca.pem"), load_key(owner.maker / "maker-ca.key"))
    owner_id = authority.subject.rfc4514_string().rsplit(" ", 1)[1]
    made = Workshop(Signer.of(authority, key), owner_id, maker)
    made.owner_der = authority.public_bytes(serialization.Encoding.DER)
    return made


# Why a connection ends in which somebody was slow, or gone: a probe that was cut, say. No certificate leads to these.
STRAYS = ("was refused: truncated", "was refused: handshake-timeout", "was refused: connection-closed")


class Log:
    """The device's log, read by its admin; each line once."""

    def __init__(self, port: int, owner):
        self.port, self.credentials = port, owner.credentials
        self.last = 0
        self.refusals()

    def refusals(self) -> list[str]:
        """The refused connections since the last call, but those that nobody was refused in."""
        answer = ask(self.port, "GET", f"/v1/logs?after={self.last}", self.credentials)
        assert answer.status == 200, answer
        records = answer.json["records"]
        self.last = max([self.last, *(record["sequence"] for record in records)])
        return [record["text"] for record in records if "was refused: " in record["text"] and not any(stray in record["text"] for stray in STRAYS)]


@pytest.fixture(scope="module")
def log(owned_device) -> Log:
    machine, owner = owned_device
    return Log(machine.port, owner)


def show(port: int, shown) -> Outcome:
    return unless_it_stood_still(
        lambda: Handshake(port).show(shown.chain, shown.key, REQUEST), lambda outcome: outcome.application_bytes or outcome.alert in ALERT_NAMES
    )


def test_without_a_fault_the_same_making_gets_in(owned_device, shop):
    """The control of every case below, and of the client that shows them."""
    outcome = show(owned_device[0].port, shop.good())
    assert outcome.application_bytes.startswith(b"HTTP/1.1 200 "), outcome


def test_there_are_enough_of_them():
    assert len(CASES) >= 40 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_certificate_is_refused_with_its_reason(owned_device, shop, log, case):
    """The log takes at most 20 refusals a minute, so that strangers cannot wash it out: then the same is shown again until its line is there."""
    machine, _ = owned_device
    shown = case.make(shop)
    # What is told late of the case before is none of this one's.
    log.refusals()

    def attempt() -> list[str]:
        outcome = show(machine.port, shown)
        assert outcome.application_bytes == b"", outcome
        assert outcome.alert in ALERT_NAMES, outcome
        return log.refusals()

    lines = wait_for(f"the log to tell of {case.name}", attempt, 300, 5)
    assert any(f"was refused: {reason}" in lines[-1] for reason in case.reasons), (case.name, lines)


def test_a_withdrawn_certificate_is_refused_with_its_reason(owned_device, log):
    machine, owner = owned_device
    owner.run("member", "add", "eve", "--role", "admin")
    eve = (owner.home / "eve.pem", owner.home / "eve.key")
    for kept in eve:
        kept.write_bytes((owner.home / "owner/members" / kept.name).read_bytes())
    assert ask(machine.port, "GET", "/v1/info", eve).status == 200
    owner.run("member", "revoke", "eve")
    log.refusals()

    def attempt() -> list[str]:
        answer = ask(machine.port, "GET", "/v1/info", eve)
        assert answer.status == 0 and "revoked" in answer.error.lower(), answer
        return log.refusals()

    lines = wait_for("the log to tell of the withdrawn", attempt, 300, 5)
    assert "was refused: certificate-revoked" in lines[-1], lines


def test_the_device_lived_through_all_of_it(owned_device, shop):
    machine, owner = owned_device
    assert owner.json("status")["startCount"] == 1
    assert show(machine.port, shop.good()).application_bytes.startswith(b"HTTP/1.1 200 ")

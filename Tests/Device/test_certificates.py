"""Certificates that are almost right: each refused before any application byte, each with its reason in the log, none with a crash (T4, T6)."""

import contextlib

import pytest
from badcertificates import CASES, Signer, Workshop
from cryptography.hazmat.primitives import serialization
from handshake import Handshake, Outcome
from machine import wait_for
from owner import Owner
from pki import load_certificate, load_key
from wire import REQUEST, ask, unless_it_stood_still

ALERT_NAMES = {
    "bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired", "certificate_unknown", "unknown_ca", "decode_error",
    "decrypt_error", "illegal_parameter", "certificate_required", "handshake_failure", "unexpected_message", "internal_error",
}  # fmt: skip
# Of the twenty refusals that a device tells of in a minute.
REFUSALS_OF_A_DEVICE = 18
# Why a connection ends in which somebody was slow, or gone: a probe that was cut, say. No certificate leads to these.
STRAYS = ("was refused: truncated", "was refused: handshake-timeout", "was refused: connection-closed")


def workshop(owner: Owner) -> Workshop:
    authority = load_certificate(owner.authority)
    key = load_key(owner.authority.with_suffix(".key"), owner.passphrase)
    maker = Signer.of(load_certificate(owner.maker / "maker-ca.pem"), load_key(owner.maker / "maker-ca.key"))
    owner_id = authority.subject.rfc4514_string().rsplit(" ", 1)[1]
    made = Workshop(Signer.of(authority, key), owner_id, maker)
    made.owner_der = authority.public_bytes(serialization.Encoding.DER)
    return made


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


class Target:
    """A device with what is needed to show it certificates, and its log."""

    def __init__(self, machine, owner: Owner):
        self.machine, self.owner = machine, owner
        self.shop, self.log = workshop(owner), Log(machine.port, owner)
        self.room = REFUSALS_OF_A_DEVICE

    def show(self, shown) -> Outcome:
        return unless_it_stood_still(
            lambda: Handshake(self.machine.port).show(shown.chain, shown.key, REQUEST),
            lambda outcome: outcome.application_bytes or outcome.alert in ALERT_NAMES,
        )

    def is_well(self):
        """It lived through all that it was shown; and what is made in the same way without a fault gets in: the control of every case."""
        assert self.owner.json("status")["startCount"] == 1
        outcome = self.show(self.shop.good())
        assert outcome.application_bytes.startswith(b"HTTP/1.1 200 "), outcome


@pytest.fixture(scope="module")
def targets(owned_devices):
    """Gives a device that has room for a refusal in its log: one after the other, as each is there sooner than its minute is over."""
    with contextlib.ExitStack() as last:
        current: list[Target] = []

        def with_room() -> Target:
            if not current or not current[0].room:
                for target in current:
                    target.is_well()
                last.close()
                current[:] = [Target(*last.enter_context(owned_devices()))]
                current[0].is_well()
            current[0].room -= 1
            return current[0]

        yield with_room
        for target in current:
            target.is_well()


def test_there_are_enough_of_them():
    assert len(CASES) >= 40 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_certificate_is_refused_with_its_reason(targets, case):
    """The log takes at most 20 refusals a minute, so that strangers cannot wash it out: then the same is shown again until its line is there."""
    target = targets()
    shown = case.make(target.shop)
    # What is told late of the case before is none of this one's.
    target.log.refusals()

    def attempt() -> list[str]:
        outcome = target.show(shown)
        assert outcome.application_bytes == b"", outcome
        assert outcome.alert in ALERT_NAMES, outcome
        return target.log.refusals()

    lines = wait_for(f"the log to tell of {case.name}", attempt, 300, 5)
    assert any(f"was refused: {reason}" in lines[-1] for reason in case.reasons), (case.name, lines)


def test_a_withdrawn_certificate_is_refused_with_its_reason(targets):
    target = targets()
    machine, owner = target.machine, target.owner
    owner.run("member", "add", "eve", "--role", "admin")
    eve = (owner.home / "eve.pem", owner.home / "eve.key")
    for kept in eve:
        kept.write_bytes((owner.home / "owner/members" / kept.name).read_bytes())
    assert ask(machine.port, "GET", "/v1/info", eve).status == 200
    owner.run("member", "revoke", "eve")
    target.log.refusals()

    def attempt() -> list[str]:
        answer = ask(machine.port, "GET", "/v1/info", eve)
        assert answer.status == 0 and "revoked" in answer.error.lower(), answer
        return target.log.refusals()

    lines = wait_for("the log to tell of the withdrawn", attempt, 300, 5)
    assert "was refused: certificate-revoked" in lines[-1], lines

"""A claim needs the label and somebody at the device (T25), against booted images."""

import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from machine import LOOPBACK, Machine, wait_for
from owner import Owner
from pki import Forge
from wire import unless_it_stood_still

# So many wrong proofs without the button; each is a request of its own.
FORGED = 200


def ask(owner: Owner, folder: Path, *arguments: str) -> tuple[int, dict, str]:
    """One request to /v1/claim as a stranger: status, body, head."""
    certificate, key = Forge(folder).claimant()
    command = ["curl", "--silent", "--show-error", "--insecure", "--tlsv1.3", "--cert", certificate, "--key", key, "--include", "--http1.1"]
    command += [*arguments, f"https://{owner.address}/v1/claim"]
    done = unless_it_stood_still(lambda: subprocess.run(command, capture_output=True, text=True, timeout=120), lambda done: done.returncode == 0)
    assert done.returncode == 0, done.stderr
    # Lines end as text's do by now.
    head, _, body = done.stdout.partition("\n\n")
    return int(head.split()[1]), json.loads(body), head


def offer(owner: Owner, folder: Path) -> dict:
    status, body, _ = ask(owner, folder)
    assert status == 200, body
    return body


def forge(owner: Owner, folder: Path, proof: str = "5a" * 32) -> tuple[int, dict, str]:
    """A claim whose certificate is another's: it is refused before its proof is looked at where nobody stands at the device."""
    body = folder / "body.json"
    body.write_text(json.dumps({"ownerCertificate": (owner.maker / "maker-ca.pem").read_text(), "certificateChain": "", "proof": proof}))
    return ask(owner, folder, "--header", "Content-Type: application/json", "--data-binary", f"@{body}")


def other_label(owner: Owner, folder: Path) -> Path:
    """The label of the device with a code of another one, which is a well-formed label: its own, from another provisioning."""
    label = folder / "wrong.txt"
    prefix = owner.label_file.read_text().splitlines()[0].rsplit(":", 1)[0]
    # All bits zero: its two check characters are zero as well.
    label.write_text(f"{prefix}:{'0' * 28}\n")
    return label


@pytest.fixture(params=["release", "debug"])
def provisioned(request):
    with Machine(request.param, serial_on_stdio=request.param == "debug") as machine:
        machine.wait_until_it_listens()
        owner = Owner(machine)
        owner.provision()
        yield machine, owner


def test_without_the_button_no_proof_is_looked_at(provisioned, tmp_path):
    _, owner = provisioned
    for _ in range(FORGED):
        status, body, _ = forge(owner, tmp_path)
        assert (status, body["type"]) == (403, "urn:haechi:problem:presence-needed"), body
    assert offer(owner, tmp_path)["lockout"] == {"failures": 0, "waitMilliseconds": 0}
    owner.claim()
    assert owner.json("status")["state"] == "owned"


def test_wrong_labels_wait_and_the_right_one_claims(provisioned, tmp_path):
    machine, owner = provisioned
    wrong = str(other_label(owner, tmp_path))
    maker = str(owner.maker / "maker-ca.pem")
    for failures in (1, 2, 3):
        machine.press_button()
        words = ("claim", "--name", "operator", "--maker-ca", maker, "--device", owner.address, "--label-file", wrong, "--json")
        refused = owner.run(*words, check=False, asked=machine.press_button)
        assert json.loads(refused.stderr.splitlines()[-1])["error"]["code"] == "label-wrong", refused.stderr
        lockout = offer(owner, tmp_path)["lockout"]
        assert lockout["failures"] == failures, lockout
        status, body, head = forge(owner, tmp_path)
        if status == 429:
            assert body["type"] == "urn:haechi:problem:locked-out", body
            assert re.search(r"(?im)^retry-after: [1-9]", head), head
    owner.claim()
    assert offer_is_refused(owner, tmp_path)
    outcomes = wait_for("the claim to be told", lambda: (o := [event["outcome"] for event in owner.events("claim")]) and o[-1] == "claimed" and o)
    assert outcomes == ["proof-wrong"] * 3 + ["claimed"], outcomes


def offer_is_refused(owner: Owner, folder: Path) -> bool:
    """Whether an owned device keeps a stranger out in the handshake."""
    certificate, key = Forge(folder).claimant()
    command = ["curl", "--silent", "--insecure", "--tlsv1.3", "--cert", certificate, "--key", key, f"https://{owner.address}/v1/claim"]
    return subprocess.run(command, capture_output=True, timeout=120).returncode != 0


def test_the_button_alone_is_waited_for(provisioned, tmp_path):
    """`haechi claim` asks for the button, and goes on when it is pressed."""
    machine, owner = provisioned
    answers, is_asked = [], threading.Event()
    claiming = threading.Thread(target=lambda: answers.append(owner.claim_untouched(asked=is_asked.set)))
    claiming.start()
    wait_for("the claim to ask for the button", is_asked.is_set, 300)
    time.sleep(5)
    assert not answers, answers
    machine.press_button()
    wait_for("the claim", lambda: answers, 300)
    claiming.join()
    assert "press the button" in answers[0].stderr
    assert owner.address.startswith(LOOPBACK)
    assert owner.json("status")["state"] == "owned"

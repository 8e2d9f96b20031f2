"""Who may do what: every role on every end point and method, driven from docs/openapi.json, against a device (T6)."""

import json
import re

import pytest
from machine import ROOT
from pki import Forge
from wire import Reply, ask

DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())
METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE")
#: Of the words in a path's braces, those that are there: else the first names nothing, which is 404 after the role was judged.
NAMES = {"name": "relay"}


def endpoints() -> list[tuple[str, str, dict]]:
    return [(method.upper(), path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()]


def concrete(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: NAMES.get(found[1], "00000000000000000000"), path)


def body_of(operation: dict) -> bytes | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return json.dumps(content["example"]).encode() if content else None


def is_for_others(answer: Reply) -> bool:
    """Refused for the role; a claim that lacks a press of the button is 403 too, and another problem."""
    return answer.status == 403 and answer.json["type"] == "urn:haechi:problem:forbidden"


def check_matrix(port: int, role: str, credentials):
    """Each method of each path as this role: served or refused exactly as the document says."""
    described = {(method, path): operation for method, path, operation in endpoints()}
    wrong = []
    for path in DOCUMENT["paths"]:
        for method in METHODS:
            operation = described.get((method, path))
            answer = ask(port, method, concrete(path), credentials, body_of(operation) if operation else None)
            if operation is None:
                fits = answer.status == 405
            elif role in operation["x-haechi-roles"]:
                # What the body asks for is nonsense here, so it is refused for what it says, and never for who says it.
                fits = str(answer.status) in operation["responses"] and answer.status != 405 and not is_for_others(answer)
            else:
                fits = is_for_others(answer)
            if not fits:
                wrong.append((role, method, path, answer.status, answer.body[:200]))
    assert wrong == []


@pytest.fixture(scope="module")
def people(owned_device):
    _, owner = owned_device
    members = owner.home / "owner/members"
    for role in ("viewer", "operator"):
        owner.run("member", "add", f"a-{role}", "--role", role)
    named = {"viewer": "a-viewer", "operator": "a-operator", "admin": "operator"}
    return {role: (members / f"{name}.pem", members / f"{name}.key") for role, name in named.items()}


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_people_of_the_owner(owned_device, people, role):
    check_matrix(owned_device[0].port, role, people[role])


def test_whoever_is_nobody_gets_an_alert(owned_device, forge: Forge):
    machine, owner = owned_device
    claimant = forge.make("claimant")
    station = owner.maker / "station.pem", owner.maker / "station.key"
    for _, path, _ in endpoints():
        for credentials in (None, claimant, station):
            answer = ask(machine.port, "GET", concrete(path), credentials)
            assert answer.status == 0 and "alert" in answer.error.lower(), (path, credentials, answer)


def test_a_station_at_a_blank_device(blank_device, forge: Forge):
    machine, owner = blank_device
    check_matrix(machine.port, "station", (owner.maker / "station.pem", owner.maker / "station.key"))
    for credentials in (None, forge.make("claimant")):
        assert ask(machine.port, "GET", "/v1/info", credentials).status == 0


def test_a_claimant_at_a_provisioned_device(blank_device, forge: Forge):
    machine, owner = blank_device
    owner.provision()
    check_matrix(machine.port, "claimant", forge.make("claimant"))
    for credentials in (None, (owner.maker / "station.pem", owner.maker / "station.key")):
        assert ask(machine.port, "GET", "/v1/info", credentials).status == 0


def test_the_page_for_people_is_the_same_table():
    page = (ROOT / "docs/roles.md").read_text()
    roles = re.search(r"^\| endpoint \| (.*) \|$", page, re.M)[1].split(" | ")
    rows = re.findall(r"^\| `(\w+) (\S+)` \| (.*) \|$", page, re.M)
    found = {(method, path): {role for role, cell in zip(roles, cells.split(" | "), strict=True) if cell == "yes"} for method, path, cells in rows}
    assert found == {(method, path): set(operation["x-haechi-roles"]) for method, path, operation in endpoints()}

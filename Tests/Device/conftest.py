"""What the black-box tests share. Images are made before pytest starts (`Tests/Device/run`)."""

import contextlib
import os
import random
import tempfile
from pathlib import Path

import pytest
from machine import Machine
from owner import Owner
from pki import Forge
from virtual import VirtualDevice


def pytest_addoption(parser):
    parser.addoption("--torture", action="store_true", help="the long campaigns, whole")
    parser.addoption("--virtual", action="store_true", help="suites that can: against haechid on this host's virtual board")
    parser.addoption("--seed", type=int, default=None, help="repeat a campaign with this seed")


def pytest_report_header(config):
    return f"seed {seed_of(config)}"


def seed_of(config) -> int:
    seed = config.getoption("--seed")
    if seed is None:
        seed = int(os.environ.setdefault("HAECHI_TEST_SEED", str(random.SystemRandom().randrange(2**32))))
    return seed


@pytest.fixture(scope="session")
def torture(request) -> bool:
    return request.config.getoption("--torture")


@pytest.fixture
def dice(request) -> random.Random:
    return random.Random(f"{seed_of(request.config)}-{request.node.nodeid}")


@pytest.fixture(scope="module")
def blank_release():
    with Machine("release") as machine:
        yield machine.wait_until_it_listens()


@pytest.fixture(scope="module")
def owned_release():
    """A release machine that has an owner, booted directly in the smallest memory that is promised."""
    with Machine("release", mem=96) as machine:
        machine.wait_until_it_listens()
        yield machine, Owner(machine).provision_and_claim()


@pytest.fixture(scope="module")
def blank_device(request):
    """A device without an identity, and who may give it one: a release machine, or haechid on this host where `--virtual` asks for it."""
    if request.config.getoption("--virtual"):
        with VirtualDevice(Owner.maker_certificate()) as device:
            yield device.wait_until_it_listens(), Owner(device)
    else:
        with Machine("release") as machine:
            yield machine.wait_until_it_listens(), Owner(machine)


@pytest.fixture(scope="module")
def owned_device(owned_devices):
    """The same with an owner."""
    with owned_devices() as (device, owner):
        yield device, owner


@pytest.fixture(scope="session")
def owned_devices(request):
    """Makes such devices: each call gives another one, with its owner, for as long as it is wanted."""
    is_virtual = request.config.getoption("--virtual")

    @contextlib.contextmanager
    def make():
        with VirtualDevice(Owner.maker_certificate()) if is_virtual else Machine("release", mem=96) as device:
            device.wait_until_it_listens()
            yield device, Owner(device).provision_and_claim()

    return make


@pytest.fixture(scope="module")
def owned_debug():
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        yield machine, Owner(machine).provision_and_claim()


@pytest.fixture
def forge():
    with tempfile.TemporaryDirectory(prefix="haechi-forge-") as folder:
        yield Forge(Path(folder))

"""Secure Boot: the firmware's signature, the variables of a machine that starts it and nothing else, and which of its states may open a disk."""

import json
import ssl
import subprocess
import tempfile
import uuid
from pathlib import Path

from . import seal
from .commands import read, run, sha256

IN_TOOLS = Path(__file__).resolve().parents[2] / "Toolchain/in-tools"
# The owner that signature lists in the variable store name: ours.
SIGNATURE_OWNER = uuid.UUID("3d0d3c52-0b7e-4f0c-9a53-5b6e1b1f7a10")
# Of the state of Secure Boot, and of the security epoch: of the second a test image has one that programs may reset (TCG PC Client PTP 4.6.2).
TEST_REGISTERS = (seal.FIRMWARE_REGISTER, 23)


def sign(image, key_folder, output, epoch_s):
    """Signs for UEFI Secure Boot (Authenticode), with the sources' time as the signature's, and checks it by another tool."""
    certificate = key_folder / "cert.pem"
    run(
        "osslsigncode",
        "sign",
        "-h",
        "sha256",
        "-time",
        epoch_s,
        "-certs",
        certificate,
        "-key",
        key_folder / "key.pem",
        "-in",
        image,
        "-out",
        output,
    )
    run("sbverify", "--cert", certificate, output, stderr=subprocess.DEVNULL)


def make_variables(keys, certificate, template, output):
    """A UEFI variable store with Secure Boot on, in which `certificate` alone may sign. Returns what its variables hold."""
    # Only these two folders of the machine are seen inside the tools root, at their own paths.
    inside = [IN_TOOLS, "--bind", output.parent, "--bind", f"{keys}:ro", "--"]
    variables = ["--set-pk", SIGNATURE_OWNER, keys / "platform/cert.pem"]
    variables += ["--add-kek", SIGNATURE_OWNER, keys / "exchange/cert.pem", "--add-db", SIGNATURE_OWNER, certificate]
    words = output.with_suffix(".json")
    files = ["--input", template, "--output", output, "--output-json", words]
    run(*inside, "virt-fw-vars", "--loglevel", "warning", *files, "--secure-boot", *variables)
    return {variable["name"]: bytes.fromhex(variable["data"]) for variable in json.loads(read(words, "the UEFI variables"))["variables"]}


def authorise(settings, key, variables, certificate, is_test):
    """What may open the disks of this firmware's devices: (files for the initramfs, what the manifest says of them)."""
    epoch = settings.security_epoch
    der = ssl.PEM_cert_to_DER_cert(read(certificate, "the firmware's certificate").decode())
    states = [(seal.UEFI, seal.secure_boot_state(variables, SIGNATURE_OWNER, der))]
    states += [(seal.UEFI, state) for state in settings.more_states]
    states += [(seal.DIRECT, seal.EMPTY)] if settings.direct_boot else []
    said = {
        "security_epoch": epoch,
        "signer_sha256": sha256(seal.modulus(key)),
        "states": [{"boot": "uefi" if kind == seal.UEFI else "direct", "pcr7": state.hex()} for kind, state in states],
    }
    if not is_test:
        return [(seal.PATH, seal.make(key, epoch, states))], said
    # The tests play several firmwares in one machine, with registers that can be reset without a restart.
    files = [(seal.PATH, seal.make(key, 1, states, TEST_REGISTERS)), (f"{seal.PATH}-2", seal.make(key, 2, states, TEST_REGISTERS))]
    files += [(f"{seal.PATH}-uefi", seal.make(key, 1, states[:1], TEST_REGISTERS))]
    # Another maker, of this moment: no key that devices trust ever signs what a test image holds.
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "key.pem"
        run("openssl", "genrsa", "-out", other, "2048", stderr=subprocess.DEVNULL)
        files += [(f"{seal.PATH}-other", seal.make(other, 1, states, TEST_REGISTERS))]
    return files, said

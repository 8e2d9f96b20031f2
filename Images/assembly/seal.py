"""What a device's disk keys are sealed to: the states of Secure Boot that the maker has authorised, signed with the key `seal-VARIANT`.

A disk key opens where the maker has signed that this state of the machine may have it (TPM2_PolicyAuthorize): PCR 7 (which keys Secure Boot
trusts, and which of them signed what runs) and PCR 14, which the firmware extends by its own security epoch before anything else. So a later
firmware with other Secure Boot keys opens the disk, and an earlier one, whose epoch has passed, does not. The device's side is `SealAuthority`
(Sources/Board/LinuxBoard/TPM), which says what the bytes are.
"""

import hashlib
import struct
import subprocess
import tomllib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

PATH = "etc/haechi/seal"
MAGIC = b"HAECHI-SEAL-AUTH"
# Each epoch and state costs a signature of 256 bytes in the image.
EPOCH_MAXIMUM, STATES_MAXIMUM = 64, 8
MODULUS_BYTES = 256
# TPM 2.0 Library part 2, 6.5.2, 6.3.
PCR_POLICY_COMMAND, SHA256_ALGORITHM = 0x0000017F, 0x000B
FIRMWARE_REGISTER, EPOCH_REGISTER = 7, 14

UEFI, DIRECT = 1, 2
EMPTY = bytes(32)

# UEFI 2.10, sections 3.3 and 32.4.1.
GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURITY_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")


class SealError(Exception):
    """One sentence that says what is wrong and what to do."""


@dataclass
class Settings:
    """Images/boards/BOARD.seal.toml."""

    security_epoch: int = 1
    direct_boot: bool = False
    more_states: list[bytes] = field(default_factory=list)


def read_settings(path: Path) -> Settings:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SealError(f"{path}: {error}: it says what opens the disks of this board (docs/porting.md)") from error
    unknown = sorted(said.keys() - {"security_epoch", "direct_boot", "more_states"})
    if unknown:
        raise SealError(f"{path}: {', '.join(unknown)} is unknown: it has security_epoch, direct_boot and more_states")
    epoch, direct, states = said.get("security_epoch"), said.get("direct_boot", False), said.get("more_states", [])
    if type(epoch) is not int or not 1 <= epoch <= EPOCH_MAXIMUM:
        raise SealError(f"{path}: security_epoch is {epoch!r}: give a number from 1 to {EPOCH_MAXIMUM}")
    if type(direct) is not bool:
        raise SealError(f"{path}: direct_boot is {direct!r}: give true or false")
    try:
        values = [bytes.fromhex(state) for state in states]
    except (TypeError, ValueError):
        values = [b""]
    if any(len(value) != 32 or value == EMPTY for value in values):
        raise SealError(f"{path}: more_states is {states!r}: give a list of values of PCR 7, each of 64 hexadecimal digits and not all of them 0")
    return Settings(epoch, direct, values)


def variable_event(vendor: uuid.UUID, name: str, data: bytes) -> bytes:
    """UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile 1.06, 10.2.6): what is measured of a variable."""
    return vendor.bytes_le + struct.pack("<QQ", len(name), len(data)) + name.encode("utf-16-le") + data


def extended(register: bytes, event: bytes) -> bytes:
    return hashlib.sha256(register + hashlib.sha256(event).digest()).digest()


def secure_boot_state(variables: dict[str, bytes], owner: uuid.UUID, certificate: bytes) -> bytes:
    """PCR 7 of a machine whose UEFI has these variables (PK, KEK, db, dbx), after it started what `certificate` (DER, in db as `owner`'s) verifies.

    TCG PC Client Platform Firmware Profile 1.06, 3.3.4.8: the variables, a separator, and the entry of db that was used.
    """
    register = extended(EMPTY, variable_event(GLOBAL_VARIABLE, "SecureBoot", b"\x01"))
    for vendor, name in ((GLOBAL_VARIABLE, "PK"), (GLOBAL_VARIABLE, "KEK"), (SECURITY_DATABASE, "db"), (SECURITY_DATABASE, "dbx")):
        register = extended(register, variable_event(vendor, name, variables.get(name, b"")))
    register = extended(register, bytes(4))
    return extended(register, variable_event(SECURITY_DATABASE, "db", owner.bytes_le + certificate))


def epoch_state(epoch: int) -> bytes:
    """The register of a firmware of this security epoch."""
    return extended(EMPTY, f"haechi: security epoch {epoch}".encode())


def bits_of(registers: tuple[int, int]) -> bytes:
    """As TPMS_PCR_SELECTION has them (TPM 2.0 Library part 2, 10.6.1)."""
    return sum(1 << register for register in registers).to_bytes(3, "little")


def policy(state: bytes, epoch: int, registers: tuple[int, int] = (FIRMWARE_REGISTER, EPOCH_REGISTER)) -> bytes:
    """The digest of TPM2_PolicyPCR over both registers (TPM 2.0 Library part 3, 23.7)."""
    values = dict(zip(registers, (state, epoch_state(epoch)), strict=True))
    selection = struct.pack(">IHB", 1, SHA256_ALGORITHM, 3) + bits_of(registers)
    digest = hashlib.sha256(b"".join(values[register] for register in sorted(values))).digest()
    return hashlib.sha256(EMPTY + struct.pack(">I", PCR_POLICY_COMMAND) + selection + digest).digest()


def reference(kind: int, epoch: int, registers: tuple[int, int] = (FIRMWARE_REGISTER, EPOCH_REGISTER)) -> bytes:
    """What is signed beside a policy: which keys it may open, by how their machine was started, the epoch that they ask for, and the registers."""
    return b"haechi-seal-1" + struct.pack(">BI", kind, epoch) + bits_of(registers)


def openssl(*arguments: str, data: bytes | None = None) -> bytes:
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if done.returncode:
        raise SealError(f"openssl {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def modulus(key: Path) -> bytes:
    """Of an RSA key of 2048 bits, whose exponent is 65537 (as the TPM's 0 stands for)."""
    text = openssl("rsa", "-in", str(key), "-noout", "-text").decode()
    value = bytes.fromhex(openssl("rsa", "-in", str(key), "-noout", "-modulus").decode().strip().removeprefix("Modulus="))
    if len(value) != MODULUS_BYTES or "publicExponent: 65537 " not in text:
        raise SealError(f"{key}: it is no RSA key of 2048 bits with the exponent 65537: make one as Images/make-signing-keys does")
    return value


def make(key: Path, epoch: int, states: list[tuple[int, bytes]], registers: tuple[int, int] = (FIRMWARE_REGISTER, EPOCH_REGISTER)) -> bytes:
    """The file for firmware of this epoch. `states`: (UEFI or DIRECT, PCR 7)."""
    if not 1 <= len(states) <= STATES_MAXIMUM:
        raise SealError(f"{len(states)} states of Secure Boot are to be authorised: 1 to {STATES_MAXIMUM}")
    made = MAGIC + struct.pack(">BI", 1, epoch) + modulus(key) + struct.pack(">B", len(states))
    for kind, state in states:
        made += struct.pack(">B", kind) + state
        for asked in range(1, epoch + 1):
            # RSASSA-PKCS1-v1_5 with SHA-256: the same signature each time, so that images are reproducible.
            signature = openssl("dgst", "-sha256", "-sign", str(key), data=policy(state, epoch, registers) + reference(kind, asked, registers))
            if len(signature) != MODULUS_BYTES:
                raise SealError(f"{key}: a signature has {len(signature)} bytes, not {MODULUS_BYTES}")
            made += signature
    return made

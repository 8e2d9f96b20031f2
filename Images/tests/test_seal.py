"""What opens a device's disk: states that the maker has signed, and nothing that somebody wrote by mistake."""

import struct
import subprocess
import tempfile
import unittest
import uuid
from pathlib import Path

import context  # noqa: F401 - finds what is tested
from assembly import seal

STATE = bytes(range(32))


class Settings(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "board.seal.toml"
            path.write_text(text)
            return seal.read_settings(path)

    def test_every_board_has_some(self):
        boards = Path(seal.__file__).resolve().parent.parent / "boards"
        for board in boards.glob("*.config"):
            if not board.stem.endswith(".debug"):
                self.assertGreaterEqual(seal.read_settings(boards / f"{board.stem}.seal.toml").security_epoch, 1)

    def test_what_is_said_is_read(self):
        self.assertEqual(self.read(f'security_epoch = 3\nmore_states = ["{STATE.hex()}"]'), seal.Settings(3, False, [STATE]))
        self.assertEqual(self.read("security_epoch = 1\ndirect_boot = true"), seal.Settings(1, True, []))

    def test_refusals_name_file_and_field(self):
        zeros = "0" * 64
        for text, sentence in (
            ("", "security_epoch is None: give a number from 1 to 64"),
            ("security_epoch = 65", "security_epoch is 65"),
            ("security_epoch = true", "security_epoch is True"),
            ("security_epoch = 1\ndirect_boot = 1", "direct_boot is 1: give true or false"),
            ("security_epoch = 1\nmore_states = ['12']", "more_states is .*: give a list of values of PCR 7"),
            (f"security_epoch = 1\nmore_states = ['{zeros}']", "not all of them 0"),
            ("security_epoch = 1\nepoch = 2", "epoch is unknown"),
            ("security_epoch", "board.seal.toml: "),
        ):
            with self.subTest(text), self.assertRaisesRegex(seal.SealError, sentence):
                self.read(text)
        with self.assertRaisesRegex(seal.SealError, "nowhere"):
            seal.read_settings(Path("nowhere.seal.toml"))


class Authorisation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.key = Path(cls.folder.name) / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(cls.key), "2048"], check=True, capture_output=True)
        cls.public = cls.key.with_name("public.pem")
        subprocess.run(["openssl", "rsa", "-in", str(cls.key), "-pubout", "-out", str(cls.public)], check=True, capture_output=True)

    def verifies(self, signature, data):
        file = self.key.with_name("signature")
        file.write_bytes(signature)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(self.public), "-signature", str(file)], input=data, capture_output=True)
        return done.returncode == 0

    def test_each_state_is_signed_for_each_epoch_up_to_the_firmwares(self):
        states = [(seal.UEFI, STATE), (seal.DIRECT, seal.EMPTY)]
        made = seal.make(self.key, 3, states)
        self.assertEqual(made, seal.make(self.key, 3, states))
        self.assertEqual(made[:21], seal.MAGIC + struct.pack(">BI", 1, 3))
        self.assertEqual(made[21:277], seal.modulus(self.key))
        self.assertEqual(made[277], 2)
        at = 278
        for kind, state in states:
            self.assertEqual(made[at : at + 33], bytes([kind]) + state)
            at += 33
            for asked in (1, 2, 3):
                signature, at = made[at : at + 256], at + 256
                self.assertTrue(self.verifies(signature, seal.policy(state, 3) + seal.reference(kind, asked)))
                # It says nothing of an earlier firmware, of another way to start, or of another state.
                self.assertFalse(self.verifies(signature, seal.policy(state, 2) + seal.reference(kind, asked)))
                self.assertFalse(self.verifies(signature, seal.policy(state, 3) + seal.reference(3 - kind, asked)))
                self.assertFalse(self.verifies(signature, seal.policy(bytes(31) + b"\x01", 3) + seal.reference(kind, asked)))
                self.assertFalse(self.verifies(signature, seal.policy(state, 3, (7, 23)) + seal.reference(kind, asked, (7, 23))))
        self.assertEqual(at, len(made))

    def test_only_a_key_that_a_tpm_takes_is_used(self):
        other = self.key.with_name("other.pem")
        for arguments in (["genrsa", "-out", str(other), "3072"], ["genrsa", "-3", "-out", str(other), "2048"]):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)
            with self.assertRaisesRegex(seal.SealError, "other.pem: it is no RSA key of 2048 bits with the exponent 65537"):
                seal.make(other, 1, [(seal.UEFI, STATE)])

    def test_no_state_and_too_many_are_refused(self):
        for count in (0, 9):
            with self.assertRaisesRegex(seal.SealError, f"{count} states of Secure Boot"):
                seal.make(self.key, 1, [(seal.UEFI, STATE)] * count)


class SecureBoot(unittest.TestCase):
    def test_each_variable_and_the_signer_count(self):
        owner = uuid.UUID(int=1)
        variables = {name: name.encode() for name in ("PK", "KEK", "db", "dbx")}
        states = {seal.secure_boot_state(variables, owner, b"certificate"), seal.secure_boot_state(variables, owner, b"other")}
        states |= {seal.secure_boot_state(variables | {name: b""}, owner, b"certificate") for name in variables}
        states |= {seal.secure_boot_state({name: value for name, value in variables.items() if name != "dbx"}, uuid.UUID(int=2), b"certificate")}
        self.assertEqual(len(states), 7)


if __name__ == "__main__":
    unittest.main()

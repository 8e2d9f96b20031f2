"""The inspector's eyes: a clean image has no finding; each thing that is planted in it is found."""

import hashlib
import json
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from context import load_program, make_elf, make_zboot
from assembly import cpio, disk, evaluate, initramfs, sbom
from test_initramfs import LIBRARIES, PROGRAM, SEAL

CLEAN = initramfs.entries(PROGRAM, LIBRARIES, b"version=1\n", b"certificate", b"HAECHIFS", SEAL)
CHECKS = [evaluate.programs_to_talk_to, evaluate.accounts, evaluate.modes, evaluate.hardening, evaluate.contents]


def findings(entries):
    return [finding for check in CHECKS for finding in check(entries)]


def private_key(*arguments):
    return subprocess.run(["openssl", "genpkey", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


DER_FORMS = {"P-256": [["pkey"], ["ec"]], "RSA": [["pkey"], ["rsa", "-traditional"]], "Ed25519": [["pkey"]]}


def der_forms(name, pem):
    """PKCS#8, and where there is one the older form of its own (SEC 1, PKCS#1)."""
    for arguments in DER_FORMS[name]:
        yield subprocess.run(
            ["openssl", *arguments, "-outform", "DER"], input=pem, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        ).stdout


class Planted(unittest.TestCase):
    def test_a_clean_image_has_no_finding(self):
        self.assertEqual(findings(CLEAN), [])

    def test_each_planted_thing_is_found(self):
        for planted, word in (
            (cpio.regular("sbin-sh", b"#!/bin/sh\n", 0o755), "script"),
            (cpio.regular("lib/dash", make_elf(), 0o755), "shell"),
            (cpio.regular("lib/innocent", make_elf(extra=b"BusyBox v1.37.0"), 0o755), "busybox"),
            (cpio.regular("lib/python3.13", make_elf(), 0o755), "interpreter"),
            (cpio.regular("etc/getty", make_elf()), "log-in"),
            (cpio.regular("lib/sshd", make_elf()), "log-in"),
            (cpio.regular("etc/passwd", b"root::0:0::/:/bin/sh\n"), "account file"),
            (cpio.regular("etc/haechi/x", b"admin:$6$saltsalt$" + b"a" * 86), "password hash"),
            (cpio.regular("etc/haechi/x", b"$2b$12$" + b"b" * 53), "password hash"),
            (cpio.regular("etc/haechi/x", b"", 0o4755), "setuid"),
            (cpio.regular("etc/haechi/x", b"", 0o666), "writable by everyone"),
            (cpio.Entry("etc/haechi/x", stat.S_IFREG | 0o644, uid=1000), "belongs to user 1000"),
            (cpio.character_device("dev/mem", 1, 1), "neither a file nor a folder"),
            (cpio.symbolic_link("lib/link", "../init"), "neither a file nor a folder"),
            (cpio.regular("lib/libweak.so", make_elf(bind_now=False)), "no BIND_NOW"),
            (cpio.regular("lib/libweak.so", make_elf(relro=False)), "no RELRO"),
            (cpio.regular("lib/libweak.so", make_elf(executable_stack=True)), "no NX"),
            (cpio.regular("lib/libweak.so", make_elf(search_path="/tmp")), "RPATH"),
            (cpio.regular("lib/libweak.so", make_elf(kind=2)), "PIE"),
            (cpio.regular("lib/libextra.so", make_elf()), "nothing in /init leads to it"),
            (cpio.regular("etc/haechi/extra", b""), "nothing in /init leads to it"),
        ):
            with self.subTest(planted.path + " " + word):
                self.assertTrue([finding for finding in findings([*CLEAN, planted]) if word in finding and planted.path in finding])

    def test_what_the_distribution_binds_lazily_is_shown_and_nothing_more_is_accepted(self):
        weak = make_elf(bind_now=False)
        self.assertEqual(evaluate.hardening([cpio.regular("lib/libz.so.1", weak)]), [])
        self.assertEqual(len(evaluate.accepted([cpio.regular("lib/libz.so.1", weak)])), 1)
        self.assertEqual(len(evaluate.hardening([cpio.regular("lib/libz.so.1", make_elf(bind_now=False, relro=False))])), 1)
        self.assertEqual(len(evaluate.hardening([cpio.regular("init", weak)])), 1)

    def test_hash_formats_in_a_library_are_no_hashes(self):
        library = cpio.regular("lib/libcrypt.so", make_elf(extra=b"$6$rounds=%zu$\0$2b$%02d$\0$y$j9T$"))
        self.assertEqual(evaluate.accounts([library]), [])


class Keys(unittest.TestCase):
    KINDS = {
        "P-256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "RSA": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "Ed25519": ["-algorithm", "ED25519"],
    }

    def test_keys_in_every_form_are_found(self):
        for name, arguments in self.KINDS.items():
            pem = private_key(*arguments)
            self.assertTrue(evaluate.private_keys("x", b"before" + pem + b"after"), f"{name} PEM")
            for form in der_forms(name, pem):
                self.assertTrue(evaluate.private_keys("x", bytes(100) + form + bytes(100)), f"{name} DER")

    def test_an_rsa_key_with_a_short_private_exponent_is_found(self):
        # One key in some dozens: modulus of 257 bytes, exponent 65537, private exponent of 255 bytes.
        modulus, private = b"\x02\x82\x01\x01\0" + b"\xc5" * 256, b"\x02\x81\xff" + b"\x5c" * 255
        form = b"\x30\x82\x04\xa2\x02\x01\x00" + modulus + b"\x02\x03\x01\x00\x01" + private
        self.assertTrue(evaluate.private_keys("x", bytes(100) + form + bytes(100)))

    def test_a_known_key_is_found_as_bare_numbers(self):
        for name in ("P-256", "RSA"):
            secret = evaluate.secret_part(private_key(*self.KINDS[name]))
            self.assertEqual(len(secret), 32)
            self.assertEqual(
                evaluate.private_keys("x", b"abc" + secret + b"def", [("station", secret)]),
                ["x holds the private key station as raw bytes"],
            )

    def test_certificates_and_words_are_no_keys(self):
        pem = private_key(*self.KINDS["P-256"])
        public = subprocess.run(["openssl", "pkey", "-pubout"], input=pem, stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(evaluate.private_keys("x", public + b"\0-----BEGIN \0PRIVATE KEY\0-----BEGIN PRIVATE KEY-----\0"), [])


class PartsLists(unittest.TestCase):
    def test_a_missing_file_and_a_changed_one_are_found(self):
        parts = [sbom.Part("openssl", "3.5.1-1", "deb/debian", [sbom.File.of(e.path, e.data)]) for e in CLEAN if e.data[:4] == b"\x7fELF"]
        lists = sbom.cyclonedx("haechi", "1", parts, 0), sbom.spdx("haechi", "1", parts, 0)
        self.assertEqual(evaluate.parts_lists(CLEAN, *lists), [])
        self.assertEqual(lists, (sbom.cyclonedx("haechi", "1", parts[::-1], 0), sbom.spdx("haechi", "1", parts[::-1], 0)))
        other = [cpio.regular("init", make_elf(extra=b"changed"))]
        self.assertEqual(len(evaluate.parts_lists(other, *lists)), 2)
        shorter = sbom.cyclonedx("haechi", "1", parts[1:], 0), sbom.spdx("haechi", "1", parts[1:], 0)
        self.assertEqual(len(evaluate.parts_lists(CLEAN, *shorter)), 2)


class Kernel(unittest.TestCase):
    def test_a_debug_kernel_is_told_from_a_release_kernel(self):
        good = dict(evaluate.RELEASE_KERNEL)
        self.assertEqual(evaluate.kernel(good, b"... quiet ...", "quiet"), [])
        self.assertIn("CONFIG_TTY is y, not n", evaluate.kernel(dict(good, CONFIG_TTY="y"), b"quiet", "quiet"))
        self.assertIn("the kernel holds the PL011 serial driver", evaluate.kernel(good, b"quiet ttyAMA", "quiet"))
        self.assertIn("the forced command line 'quiet' is not in the image", evaluate.kernel(good, b"", "quiet"))


class WholeImage(unittest.TestCase):
    """The program itself, on an image whose kernel is a few bytes."""

    def make(self, folder, entries):
        key, certificate = folder / "key.pem", folder / "firmware-certificate.pem"
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=t",
                "-days",
                "2",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        key.unlink()
        # A second frame inside the kernel image, as an initramfs of another build would be.
        packed = subprocess.run(["zstd", "-q", "-c"], input=cpio.write(entries), stdout=subprocess.PIPE, check=True).stdout
        firmware = make_zboot(b"quiet" + bytes(1000) + b"\x28\xb5\x2f\xfd no frame " + packed + bytes(1000))
        (folder / "firmware.efi").write_bytes(firmware)
        (folder / "kernel.config").write_text('CONFIG_CMDLINE="quiet"\n' + "".join(f"{k}={v}\n" for k, v in evaluate.RELEASE_KERNEL.items()))
        (folder / "vars.fd").write_bytes(b"")
        with open(folder / "disk.img", "wb") as file:
            disk.write_image(file, {"boot-a": ("EFI/BOOT/BOOTAA64.EFI", firmware)}, [("boot-a", disk.TYPE_EFI_SYSTEM, 40 * disk.MIB)], "x", 0)
        parts = [sbom.Part("p", "1", "generic", [sbom.File.of(e.path, e.data) for e in entries if e.data[:4] == b"\x7fELF"])]
        (folder / "sbom.cdx.json").write_text(json.dumps(sbom.cyclonedx("haechi", "1", parts, 0)))
        (folder / "sbom.spdx.json").write_text(json.dumps(sbom.spdx("haechi", "1", parts, 0)))
        facts = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in folder.iterdir()}
        (folder / "manifest.json").write_text(json.dumps({"files": facts}))

    def results(self, entries, change=None):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.make(folder, entries)
            if change:
                change(folder)
            return {title: found for title, found, *_ in load_program("inspect").checks(folder)}

    def failing(self, results):
        return {title.split()[1] for title, found in results.items() if found}

    def test_only_the_missing_signature_is_found_in_a_clean_one(self):
        self.assertEqual([title.split(",")[0] for title, found in self.results(CLEAN).items() if found], ["signature"])

    def test_planted_shell_key_and_setuid_file(self):
        key = private_key(*Keys.KINDS["P-256"])
        results = self.results([*CLEAN, cpio.regular("lib/bash", make_elf(), 0o4755), cpio.regular("etc/haechi/k", key)])
        found = " ".join(sentence for sentences in results.values() for sentence in sentences)
        for words in (
            "/lib/bash is a shell",
            "/lib/bash is setuid",
            "/etc/haechi/k holds a private key (PEM)",
            "nothing in /init leads to it",
        ):
            self.assertIn(words, found)

    def test_a_slot_with_another_firmware(self):
        def change(folder):
            with open(folder / "disk.img", "r+b") as file:
                file.seek(3 * disk.MIB)
                file.write(b"changed")

        found = self.results(CLEAN, change)["manifest, slots"]
        self.assertIn("disk.img is not the file that the manifest describes", found)


if __name__ == "__main__":
    unittest.main()

"""The reference cloud: what mosquitto is told, whom it lets do what, and a broker that really listens."""

import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from haechi_toolchain import cloud  # noqa: E402
from haechi_toolchain.console import ToolchainError  # noqa: E402

RUN = pathlib.Path(__file__).resolve().parent.parent / "run-cloud"
ROLE = "2.25.86869528671686314334224178961834048173.2.1"


class Home(unittest.TestCase):
    """A throwaway operator's home with an owner's CA."""

    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.home = pathlib.Path(self._temporary.name).resolve()
        self.owner = self.home / "owner"
        (self.owner / "members").mkdir(parents=True)

    def request(self, **changes):
        values = {
            "home": self.home,
            "owner": self.owner,
            "authorities": [],
            "address": "127.0.0.1",
            "port": 8883,
            "names": [],
            "ready_file": None,
        }
        return cloud.Request(**{**values, **changes})

    def make_owner(self):
        cloud.make_authority(self.owner)

    def issue(self, name, path, role=None):
        """A client certificate by the owner's CA."""
        cloud._new_key(path.with_suffix(".key"))
        cloud._openssl("req", "-new", "-subj", f"/CN={name}", "-key", path.with_suffix(".key"), "-out", path.with_suffix(".csr"))
        extensions = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n"
        extensions += f"{ROLE}=ASN1:UTF8String:{role}\n" if role else ""
        path.with_suffix(".ext").write_text(extensions, encoding="ascii")
        authority = ["-CA", self.owner / "ca.pem", "-CAkey", self.owner / "ca.key", "-CAcreateserial"]
        words = ["x509", "-req", "-in", path.with_suffix(".csr"), *authority, "-days", 2, "-extfile", path.with_suffix(".ext"), "-out", path]
        cloud._openssl(*words)
        return path


class ConfigurationTests(unittest.TestCase):
    def test_nobody_gets_in_without_a_certificate_and_tls_1_3(self):
        lines = cloud.configuration(pathlib.Path("/c"), "127.0.0.1", 1234, "me").splitlines()
        for line in (
            "listener 1234 127.0.0.1",
            "tls_version tlsv1.3",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            "acl_file /c/rights",
            "persistence false",
            "user me",
        ):
            self.assertIn(line, lines)
        self.assertEqual(sum(line.startswith("listener") for line in lines), 1)

    def test_rights_follow_the_certificate(self):
        text = cloud.rights({"vera": "viewer", "operator": "admin"})
        self.assertEqual(
            text,
            "pattern write haechi/%u/#\npattern read haechi/%u/command/#\npattern read haechi/%u/erased\n\n"
            "user operator\ntopic readwrite haechi/#\n\n"
            "user vera\ntopic read haechi/#\n",
        )

    def test_names_of_the_server(self):
        self.assertEqual(cloud.subject_alternative_names(["localhost", "10.0.2.2", "::1", "localhost"]), "DNS:localhost,IP:10.0.2.2,IP:::1")
        for name in ("a,DNS:b", "", "x\ny"):
            with self.subTest(name), self.assertRaisesRegex(ToolchainError, "neither a host name nor an address"):
                cloud.subject_alternative_names([name])

    def test_the_operators_home(self):
        self.assertEqual(cloud.home_folder({"HAECHI_HOME": "/h", "HOME": "/x"}), pathlib.Path("/h"))
        self.assertEqual(cloud.home_folder({"XDG_CONFIG_HOME": "/c", "HOME": "/x"}), pathlib.Path("/c/haechi"))
        self.assertEqual(cloud.home_folder({"XDG_CONFIG_HOME": "c", "HOME": "/x"}), pathlib.Path("/x/.config/haechi"))
        with self.assertRaisesRegex(ToolchainError, "set HAECHI_HOME"):
            cloud.home_folder({})


class FolderTests(Home):
    def test_without_an_owner_one_sentence(self):
        with self.assertRaisesRegex(ToolchainError, "no owner .* claim a device first"):
            cloud.prepare(self.request())

    def test_people_and_their_roles(self):
        self.make_owner()
        self.issue("operator", self.owner / "members/operator.pem", "admin")
        self.issue("vera", self.owner / "members/vera.pem", "viewer")
        self.issue("nobody", self.owner / "members/nobody.pem")
        self.assertEqual(cloud.members_of(self.owner), {"operator": "admin", "vera": "viewer"})

    def test_a_name_that_is_a_rule_is_refused(self):
        self.make_owner()
        self.issue("a b#", self.owner / "members/x.pem", "admin")
        with self.assertRaisesRegex(ToolchainError, "no person's name"):
            cloud.members_of(self.owner)

    def test_keys_are_private_and_kept_and_the_server_is_made_anew_for_other_names(self):
        self.make_owner()
        folder = cloud.prepare(self.request())
        for name in ("ca.key", "server.key", "rights"):
            self.assertEqual((folder / name).stat().st_mode & 0o077, 0, name)
        first = {name: (folder / name).read_bytes() for name in ("ca.pem", "server.pem")}
        cloud.prepare(self.request())
        self.assertEqual(first, {name: (folder / name).read_bytes() for name in first})
        cloud.prepare(self.request(names=["broker.example", "192.0.2.1"]))
        self.assertEqual(first["ca.pem"], (folder / "ca.pem").read_bytes())
        self.assertNotEqual(first["server.pem"], (folder / "server.pem").read_bytes())
        for check in (["-checkhost", "broker.example"], ["-checkip", "192.0.2.1"], ["-checkip", "10.0.2.2"], ["-checkhost", "localhost"]):
            self.assertIn("does match", cloud._openssl("x509", "-in", folder / "server.pem", "-noout", *check))
        cloud._openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "ca.pem", folder / "server.pem")

    def test_another_authority_is_added_and_must_be_one(self):
        self.make_owner()
        other = self.home / "other"
        other.mkdir()
        cloud.make_authority(other)
        folder = cloud.prepare(self.request(authorities=[other / "ca.pem"]))
        self.assertEqual((folder / "clients.pem").read_text(encoding="ascii").count("BEGIN CERTIFICATE"), 2)
        (other / "ca.pem").write_text("no certificate", encoding="ascii")
        with self.assertRaises(ToolchainError):
            cloud.prepare(self.request(authorities=[other / "ca.pem"]))

    def test_a_taken_port_is_one_sentence(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with self.assertRaisesRegex(ToolchainError, "cannot be listened at: .*PORT=N"):
                cloud.check_port("127.0.0.1", taken.getsockname()[1])

    def test_without_mosquitto_one_sentence(self):
        with unittest.mock.patch("shutil.which", return_value=None), self.assertRaisesRegex(ToolchainError, "install the package mosquitto"):
            cloud.program()


class RunningTests(Home):
    """The command itself, with a real broker."""

    def setUp(self):
        super().setUp()
        self.make_owner()
        self.device = self.issue("0123456789abcdef0123", self.home / "device.pem")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        ready = self.home / "ready"
        command = [sys.executable, str(RUN), "--port", str(self.port), "--ready-file", str(ready)]
        self.process = subprocess.Popen(command, env={"HAECHI_HOME": str(self.home), "PATH": "/usr/bin:/bin:/usr/sbin"}, stdout=subprocess.DEVNULL)
        self.addCleanup(self.end)
        while not ready.exists():
            self.assertIsNone(self.process.poll(), "the cloud ended")
            threading.Event().wait(0.05)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def connect(self, certificate, maximum=ssl.TLSVersion.TLSv1_3):
        """The broker's answer to an MQTT 5 CONNECT: its first byte is 0x20 (CONNACK)."""
        context = ssl.create_default_context(cafile=str(self.home / "cloud/ca.pem"))
        context.maximum_version = maximum
        if certificate:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        with socket.create_connection(("127.0.0.1", self.port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02ab")
            return tls.recv(64)

    def answer_or_nothing(self, certificate, maximum):
        try:
            return self.connect(certificate, maximum)
        except OSError:
            return b""

    def test_a_device_gets_in_and_nobody_else(self):
        self.assertEqual(self.connect(self.device)[:1], b"\x20")
        for certificate, maximum in ((None, ssl.TLSVersion.TLSv1_3), (self.device, ssl.TLSVersion.TLSv1_2)):
            with self.subTest(certificate=certificate):
                self.assertEqual(self.answer_or_nothing(certificate, maximum), b"")

    def test_it_ends_when_it_is_told_to_and_takes_the_broker_with_it(self):
        self.end()
        self.assertEqual(self.process.returncode, 0)
        self.assertFalse((self.home / "ready").exists())
        with self.assertRaises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            pass


if __name__ == "__main__":
    unittest.main()

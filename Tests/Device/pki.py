"""Certificates that a device must refuse, made by a library that is not the device's."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BASE = "2.25.86869528671686314334224178961834048173"
DEVICE, PERSON, STATION = (x509.ObjectIdentifier(f"{BASE}.1.{n}") for n in (1, 2, 3))
ROLE = x509.ObjectIdentifier(f"{BASE}.2.1")


def load_key(path: Path, passphrase: bytes | None = None):
    """A private key; an owner's CA key lies under the owner's passphrase (`Owner.passphrase`)."""
    return serialization.load_pem_private_key(path.read_bytes(), passphrase)


def load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def sign(key, data: bytes) -> bytes:
    """ECDSA with SHA-256, as a statement of the owner's is signed."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


class Forge:
    """Issues certificates into a folder. With a real issuer it makes what is genuine but for one fault."""

    def __init__(self, folder: Path):
        self.folder = folder

    def claimant(self) -> tuple[str, str]:
        """A stranger's self-signed client certificate and its key; valid since yesterday, because the device's clock may be behind this one."""
        certificate, key = self.make("claimant", uri="haechi://nobody/claimant", usages=(ExtendedKeyUsageOID.CLIENT_AUTH,), role=None)
        return str(certificate), str(key)

    def make(
        self,
        name: str,
        *,
        issuer: x509.Certificate | None = None,
        issuer_key=None,
        uri: str = "haechi://00000000000000000000/person/mallory",
        usages: tuple = (PERSON, ExtendedKeyUsageOID.CLIENT_AUTH),
        role: str | None = "admin",
        starts_in_days: float = -1,
        ends_in_days: float = 30,
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        # A person is named twice the same: by the common name and by the last segment of the URI.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri.rsplit("/", 1)[1])])
        builder = (
            self._dated(subject, issuer.subject if issuer else subject, key, starts_in_days, ends_in_days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        )
        signer = issuer_key or key
        if issuer:
            identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        else:
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(authority, critical=False)
        if role:
            # A DER UTF8String: tag 0x0c, a length below 128, the text.
            builder = builder.add_extension(x509.UnrecognizedExtension(ROLE, bytes([12, len(role)]) + role.encode()), critical=False)
        return self._write(name, builder.sign(signer, hashes.SHA256()), key)

    def authority(self, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey, Path]:
        """A CA: certificate, key, and the certificate's file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._dated(subject, subject, key, -1, 30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate, key, file

    def server(
        self,
        name: str,
        issuer: x509.Certificate,
        issuer_key,
        *,
        host: str,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        starts_in_days: float = -1,
        ends_in_days: float = 30,
    ) -> tuple[Path, Path]:
        """A server's certificate and key, for one host name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            named = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            named = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            self._dated(subject, issuer.subject, key, starts_in_days, ends_in_days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        return self._write(name, certificate, key)

    @staticmethod
    def _dated(subject, issuer, key, starts_in_days: float, ends_in_days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=starts_in_days))
            .not_valid_after(now + datetime.timedelta(days=ends_in_days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    def _write(self, name: str, certificate: x509.Certificate, key) -> tuple[Path, Path]:
        certificate_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate_file, key_file

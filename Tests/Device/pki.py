"""Certificates that a device must refuse, made by a library that is not the device's."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BASE = "2.25.86869528671686314334224178961834048173"
DEVICE, PERSON, STATION = (x509.ObjectIdentifier(f"{BASE}.1.{n}") for n in (1, 2, 3))
ROLE = x509.ObjectIdentifier(f"{BASE}.2.1")


def load_key(path: Path):
    return serialization.load_pem_private_key(path.read_bytes(), None)


def load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


class Forge:
    """Issues certificates into a folder. With a real issuer it makes what is genuine but for one fault."""

    def __init__(self, folder: Path):
        self.folder = folder

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
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=starts_in_days))
            .not_valid_after(now + datetime.timedelta(days=ends_in_days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
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
        certificate = builder.sign(signer, hashes.SHA256())
        certificate_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate_file, key_file

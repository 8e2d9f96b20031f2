"""The one set of certificates that every server and the client use: P-256, shaped as an owner's are."""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

# docs/protocol.md, "Certificates".
HAECHI_ARC = "2.25.86869528671686314334224178961834048173"
# As long in DER, under the arc for documentation (RFC 5612): Go's crypto/x509 refuses certificates with arcs over 31 bits.
SHORT_ARCS = "1.3.6.1.4.1.32473.268435455.268435455.268435455"


class Credentials:
    """`owner`, `server` and `client`, and a `stranger` of another owner: each a pair of files, NAME.pem and NAME.key."""

    def __init__(self, folder, arc=HAECHI_ARC):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._device_usage, self._person_usage, self._role = (ObjectIdentifier(arc + last) for last in (".1.1", ".1.2", ".2.1"))
        owner_key, owner = self._owner("owner")
        identifier = _identifier(owner_key)
        device_key = ec.generate_private_key(ec.SECP256R1())
        device = _identifier(device_key)
        self._leaf(
            "server", device_key, device, owner_key, owner,
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH, self._device_usage],
            [x509.UniformResourceIdentifier(f"haechi://{identifier}/device/{device}"), x509.DNSName(f"haechi-{device}")],
        )  # fmt: skip
        self._person("client", owner_key, owner, identifier)
        other_key, other = self._owner("other")
        self._person("stranger", other_key, other, _identifier(other_key))

    def file(self, name):
        """A path: `owner.pem`, `server.key` …"""
        return str(self.folder / name)

    def client_arguments(self, name="client"):
        """What the load generator is told about itself and whom it trusts."""
        return ["-certificate", self.file(f"{name}.pem"), "-key", self.file(f"{name}.key"), "-authority", self.file("owner.pem")]

    def _owner(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"Haechi owner {_identifier(key)}")
        certificate = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._write(name, key, certificate)
        return key, certificate

    def _person(self, name, authority_key, authority, owner):
        role = x509.UnrecognizedExtension(self._role, b"\x0c\x05admin")
        self._leaf(
            name, ec.generate_private_key(ec.SECP256R1()), "bench", authority_key, authority, [ExtendedKeyUsageOID.CLIENT_AUTH, self._person_usage],
            [x509.UniformResourceIdentifier(f"haechi://{owner}/person/bench")], role,
        )  # fmt: skip

    def _leaf(self, name, key, common_name, authority_key, authority, usages, names, *extensions):
        builder = (
            _builder(_name(common_name), authority.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self._write(name, key, builder.sign(authority_key, hashes.SHA256()))

    def _write(self, name, key, certificate):
        form = serialization.PrivateFormat.PKCS8
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        self.folder.joinpath(f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _identifier(key):
    encoded = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:20]


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject, issuer, key):
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs_certificates):
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip

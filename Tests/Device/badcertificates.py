"""Client certificates that a device must refuse, each with one fault, put together byte by byte.

What a library would not write (a negative serial number, an extension twice, a name with a zero byte) is written here by hand. `good` is the
control: the same making without a fault, which a device accepts.
"""

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from pki import BASE

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

CLIENT_AUTH, SERVER_AUTH, ANY_USAGE = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
DEVICE_USAGE, PERSON_USAGE, STATION_USAGE = (f"{BASE}.1.{n}" for n in (1, 2, 3))
ROLE_OID = f"{BASE}.2.1"
ECDSA = {"sha1": "1.2.840.10045.4.1", "sha224": "1.2.840.10045.4.3.1", "sha256": "1.2.840.10045.4.3.2"}
ECDSA |= {"sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
DIGESTS = {"sha1": hashes.SHA1, "sha224": hashes.SHA224, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
MD5_RSA, SHA256_RSA = "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.11"


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def oid(text: str) -> bytes:
    def base128(number: int) -> bytes:
        out = [number & 127]
        while number := number >> 7:
            out.append(number & 127 | 128)
        return bytes(reversed(out))

    arcs = [int(arc) for arc in text.split(".")]
    return tlv(6, base128(arcs[0] * 40 + arcs[1]), *(base128(arc) for arc in arcs[2:]))


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def utf8(text: str | bytes) -> bytes:
    return tlv(12, text.encode() if isinstance(text, str) else text)


def name(common_name: bytes | None) -> bytes:
    return sequence() if common_name is None else sequence(tlv(0x31, sequence(oid("2.5.4.3"), utf8(common_name))))


def days_from_now(days: float) -> bytes:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return tlv(24, moment.strftime("%Y%m%d%H%M%SZ").encode()) if moment.year >= 2050 else tlv(23, moment.strftime("%y%m%d%H%M%SZ").encode())


def extension(identifier: str, value: bytes, critical: bool = False) -> tuple[str, bytes]:
    return identifier, sequence(oid(identifier), *([tlv(1, b"\xff")] if critical else []), tlv(4, value))


def basic_constraints(ca: bool, path_length: int | None = None) -> tuple[str, bytes]:
    parts = ([tlv(1, b"\xff")] if ca else []) + ([integer(path_length)] if path_length is not None else [])
    return extension("2.5.29.19", sequence(*parts), critical=True)


def key_usage(bits: int, unused: int) -> tuple[str, bytes]:
    return extension("2.5.29.15", tlv(3, bytes([unused, bits])), critical=True)


def usages(*identifiers: str) -> tuple[str, bytes]:
    return extension("2.5.29.37", sequence(*map(oid, identifiers)))


def names(*general: bytes) -> tuple[str, bytes]:
    return extension("2.5.29.17", sequence(*general))


def uri(text: str | bytes) -> bytes:
    return tlv(0x86, text.encode() if isinstance(text, str) else text)


def dns(text: str) -> bytes:
    return tlv(0x82, text.encode())


def role(value: bytes) -> tuple[str, bytes]:
    return extension(ROLE_OID, value)


def public_der(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_identifier(key) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest


@dataclass
class Signer:
    """Whose name and key stand under a certificate."""

    key: object
    subject: bytes
    identifier: bytes

    @classmethod
    def of(cls, certificate: x509.Certificate, key) -> "Signer":
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        return cls(key, certificate.subject.public_bytes(), identifier)


@dataclass
class Plan:
    """A certificate before it is signed; a fault is one field that is not as it should be."""

    signer: Signer
    key: object
    subject: bytes
    extensions: list[tuple[str, bytes]]
    version: bytes = tlv(0xA0, integer(2))
    serial: bytes = field(default_factory=lambda: integer(int.from_bytes(b"\x41" + os.urandom(18), "big")))
    begins: bytes = field(default_factory=lambda: days_from_now(-1))
    ends: bytes = field(default_factory=lambda: days_from_now(20))
    digest: str = "sha256"
    algorithm: bytes | None = None
    outer_algorithm: bytes | None = None
    authority_identifier: bytes | None = None

    def without(self, identifier: str) -> "Plan":
        self.extensions = [entry for entry in self.extensions if entry[0] != identifier]
        return self

    def replace(self, *entries: tuple[str, bytes]) -> "Plan":
        for identifier in {entry[0] for entry in entries}:
            self.without(identifier)
        self.extensions += entries
        return self

    def der(self) -> bytes:
        algorithm = self.algorithm or sequence(oid(ECDSA[self.digest]))
        authority = extension("2.5.29.35", sequence(tlv(0x80, self.authority_identifier or self.signer.identifier)))
        own = extension("2.5.29.14", tlv(4, key_identifier(self.key)))
        everything = [own, authority, *self.extensions] if self.version else []
        body = sequence(
            self.version,
            self.serial,
            algorithm,
            self.signer.subject,
            sequence(self.begins, self.ends),
            self.subject,
            public_der(self.key),
            *([tlv(0xA3, sequence(*(value for _, value in everything)))] if everything else []),
        )
        return sequence(body, self.outer_algorithm or algorithm, tlv(3, b"\0" + self._sign(body)))

    def _sign(self, body: bytes) -> bytes:
        digest = DIGESTS[self.digest]()
        if isinstance(self.signer.key, rsa.RSAPrivateKey):
            return self.signer.key.sign(body, padding.PKCS1v15(), digest)
        return self.signer.key.sign(body, ec.ECDSA(digest))


@dataclass
class Shown:
    """What a client shows: the chain, and the key that it proves."""

    chain: list[bytes]
    key: object


class Workshop:
    """Makes certificates in the name of one owner, whose key it has: what is wrong with them is the fault alone."""

    def __init__(self, owner: Signer, owner_id: str, maker: Signer):
        self.owner = owner
        self.owner_id = owner_id
        self.maker = maker

    def plan(self, person: str = "mallory", key=None) -> Plan:
        return Plan(
            signer=self.owner,
            key=key or ec.generate_private_key(ec.SECP256R1()),
            subject=name(person.encode()),
            extensions=[
                basic_constraints(False),
                key_usage(0x80, 7),
                usages(PERSON_USAGE, CLIENT_AUTH),
                names(uri(f"haechi://{self.owner_id}/person/{person}")),
                role(utf8("admin")),
            ],
        )

    def good(self) -> Shown:
        plan = self.plan()
        return Shown([plan.der()], plan.key)

    def authority(self, signer: Signer, common_name: bytes, *more: tuple[str, bytes], path_length: int | None = 0) -> tuple[bytes, Signer]:
        key = ec.generate_private_key(ec.SECP256R1())
        plan = Plan(signer, key, name(common_name), [basic_constraints(True, path_length), key_usage(0x06, 1), *more])
        return plan.der(), Signer(key, name(common_name), key_identifier(key))

    def stranger(self) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        return Signer(key, name(b"Haechi owner ffffffffffffffffffff"), key_identifier(key))


@dataclass
class Case:
    """One bad certificate."""

    name: str
    make: Callable[[Workshop], Shown]
    #: What the device's log says, one of these.
    reasons: tuple[str, ...]


CASES: list[Case] = []


def case(*reasons: str):
    """Adds a function that makes what is shown."""

    def add(make):
        CASES.append(Case(make.__name__.replace("_", "-"), make, reasons))
        return make

    return add


def planned(case_name: str, change: Callable[[Plan, Workshop], object], *reasons: str, key: Callable[[], object] | None = None):
    """Adds a certificate of the owner's with one change."""

    def make(shop: Workshop) -> Shown:
        plan = shop.plan(key=key() if key else None)
        change(plan, shop)
        return Shown([plan.der()], plan.key)

    CASES.append(Case(case_name, make, reasons))


def setting(**values) -> Callable[[Plan, Workshop], object]:
    return lambda plan, _: [setattr(plan, field_name, value() if callable(value) else value) for field_name, value in values.items()]


def having(*entries: tuple[str, bytes]) -> Callable[[Plan, Workshop], object]:
    return lambda plan, _: plan.replace(*entries)


EXPIRED, EARLY, UNTRUSTED = "certificate-expired", "certificate-not-yet-valid", "certificate-untrusted"
PURPOSE, PROFILE, INVALID, BROKEN = "certificate-purpose", "certificate-profile", "certificate-invalid", "protocol-error"

# Times
planned("expired", setting(begins=lambda: days_from_now(-9), ends=lambda: days_from_now(-1)), EXPIRED)
planned("not-yet-valid", setting(begins=lambda: days_from_now(5), ends=lambda: days_from_now(9)), EARLY)
planned("ends-before-it-begins", setting(begins=lambda: days_from_now(-1), ends=lambda: days_from_now(-5)), EXPIRED)
planned("end-is-no-time", setting(ends=tlv(23, b"notatimeatall")), INVALID, BROKEN)
planned("begin-is-empty", setting(begins=tlv(23, b"")), INVALID, BROKEN)

# Purpose
planned("not-a-client", having(usages(PERSON_USAGE)), PURPOSE)
planned("server-and-person", having(usages(PERSON_USAGE, SERVER_AUTH)), PURPOSE)
planned("server-too", having(usages(PERSON_USAGE, CLIENT_AUTH, SERVER_AUTH)), PURPOSE)
planned("client-of-no-kind", having(usages(CLIENT_AUTH)), PURPOSE)
planned("any-usage", having(usages(ANY_USAGE)), PURPOSE)
planned("station-usage", having(usages(STATION_USAGE, CLIENT_AUTH)), PURPOSE)
planned("person-and-device", having(usages(PERSON_USAGE, DEVICE_USAGE, CLIENT_AUTH)), PURPOSE)
planned("no-extended-usage", lambda plan, _: plan.without("2.5.29.37"), PURPOSE)
planned("empty-extended-usage", having(usages()), PURPOSE, INVALID)
planned("encipherment-only", having(key_usage(0x20, 5)), PURPOSE)
planned("agreement-only", having(key_usage(0x08, 3)), PURPOSE)
planned("signs-certificates", having(key_usage(0x84, 2)), PURPOSE, INVALID)
planned("no-key-usage", lambda plan, _: plan.without("2.5.29.15"), PURPOSE)
planned("an-authority", having(basic_constraints(True, 0), key_usage(0x86, 1)), PURPOSE, INVALID)
planned("path-length-of-a-leaf", having(basic_constraints(False, 3)), INVALID)


@case(UNTRUSTED, PURPOSE, INVALID)
def the_owners_ca_itself(shop: Workshop) -> Shown:
    return Shown([shop.owner_der], shop.owner.key)


@case(PURPOSE, INVALID)
def a_device_of_the_owner_that_is_no_client(shop: Workshop) -> Shown:
    """One that is may ask to be a peer."""
    plan = shop.plan()
    plan.subject = name(b"00112233445566778899")
    device = [uri(f"haechi://{shop.owner_id}/device/00112233445566778899"), dns("haechi-00112233445566778899")]
    plan.without(ROLE_OID).replace(usages(DEVICE_USAGE, SERVER_AUTH), names(*device, dns("haechi-00112233445566778899.local")))
    return Shown([plan.der()], plan.key)


# Trust
@case(UNTRUSTED, INVALID)
def self_signed(shop: Workshop) -> Shown:
    plan = shop.plan()
    plan.signer = Signer(plan.key, plan.subject, key_identifier(plan.key))
    return Shown([plan.der()], plan.key)


@case(UNTRUSTED, INVALID)
def in_the_owners_name(shop: Workshop) -> Shown:
    plan = shop.plan()
    plan.signer = Signer(ec.generate_private_key(ec.SECP256R1()), shop.owner.subject, shop.owner.identifier)
    return Shown([plan.der()], plan.key)


@case(UNTRUSTED)
def of_another_owner(shop: Workshop) -> Shown:
    plan = shop.plan()
    plan.signer = shop.stranger()
    return Shown([plan.der()], plan.key)


@case(UNTRUSTED)
def of_another_owner_with_its_ca(shop: Workshop) -> Shown:
    plan = shop.plan()
    key = ec.generate_private_key(ec.SECP256R1())
    itself = Signer(key, name(b"Haechi owner ffffffffffffffffffff"), key_identifier(key))
    root = Plan(itself, key, itself.subject, [basic_constraints(True, 0), key_usage(0x06, 1)])
    plan.signer = itself
    return Shown([plan.der(), root.der()], plan.key)


@case(UNTRUSTED)
def of_the_maker(shop: Workshop) -> Shown:
    plan = shop.plan()
    plan.signer = shop.maker
    return Shown([plan.der()], plan.key)


@case(UNTRUSTED)
def a_station_of_the_maker(shop: Workshop) -> Shown:
    plan = shop.plan().without(ROLE_OID).without("2.5.29.17").replace(usages(STATION_USAGE, CLIENT_AUTH))
    plan.signer = shop.maker
    return Shown([plan.der()], plan.key)


planned("wrong-issuer-key-identifier", setting(authority_identifier=bytes(20)), UNTRUSTED, INVALID)


# Chains
def below(shop: Workshop, authorities: list[bytes], signer: Signer) -> Shown:
    plan = shop.plan()
    plan.signer = signer
    return Shown([plan.der(), *reversed(authorities)], plan.key)


@case(INVALID, UNTRUSTED)
def path_too_long(shop: Workshop) -> Shown:
    der, signer = shop.authority(shop.owner, b"middle")
    return below(shop, [der], signer)


@case(INVALID, UNTRUSTED)
def path_of_nine(shop: Workshop) -> Shown:
    authorities, signer = [], shop.owner
    for depth in range(9):
        der, signer = shop.authority(signer, f"middle {depth}".encode(), path_length=None)
        authorities.append(der)
    return below(shop, authorities, signer)


@case(INVALID, UNTRUSTED)
def name_constraints_violated(shop: Workshop) -> Shown:
    constraints = extension("2.5.29.30", sequence(tlv(0xA0, sequence(uri(".example.org")))), critical=True)
    der, signer = shop.authority(shop.owner, b"constrained", constraints)
    return below(shop, [der], signer)


@case(INVALID, UNTRUSTED)
def below_a_person(shop: Workshop) -> Shown:
    middle = shop.plan("eve")
    return below(shop, [middle.der()], Signer(middle.key, middle.subject, key_identifier(middle.key)))


@case(BROKEN)
def more_certificates_than_anybody_needs(shop: Workshop) -> Shown:
    shown = shop.good()
    return Shown(shown.chain + [shop.plan(f"p{number}").der() for number in range(40)], shown.key)


# Keys
for curve in (ec.SECP192R1, ec.SECP224R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1):
    planned(f"key-{curve.name}", lambda *_: None, PROFILE, INVALID, BROKEN, key=lambda curve=curve: ec.generate_private_key(curve()))
planned("key-ed448", lambda *_: None, PROFILE, INVALID, BROKEN, key=ed448.Ed448PrivateKey.generate)
for bits in (1024, 2048, 3072):
    planned(f"key-rsa-{bits}", lambda *_: None, PROFILE, INVALID, key=lambda bits=bits: rsa.generate_private_key(65537, bits))

# Signatures
for weak in ("sha1", "sha224", "sha384", "sha512"):
    planned(f"signed-with-{weak}", setting(digest=weak), INVALID, PROFILE)
planned("says-md5-with-rsa", setting(algorithm=sequence(oid(MD5_RSA), tlv(5))), INVALID, UNTRUSTED)
planned("two-algorithms", setting(outer_algorithm=sequence(oid(ECDSA["sha384"]))), INVALID)
planned("unknown-algorithm", setting(algorithm=sequence(oid("1.2.3.4.5"))), INVALID, UNTRUSTED)


@case(INVALID, UNTRUSTED)
def signed_by_rsa(shop: Workshop) -> Shown:
    plan = shop.plan()
    key = rsa.generate_private_key(65537, 2048)
    plan.signer = Signer(key, shop.owner.subject, shop.owner.identifier)
    plan.algorithm = sequence(oid(SHA256_RSA), tlv(5))
    return Shown([plan.der()], plan.key)


@case(INVALID)
def a_bit_of_the_signature_changed(shop: Workshop) -> Shown:
    shown = shop.good()
    der = bytearray(shown.chain[0])
    der[-3] ^= 1
    return Shown([bytes(der)], shown.key)


@case(INVALID)
def a_bit_of_the_role_changed(shop: Workshop) -> Shown:
    plan = shop.plan().replace(role(utf8("viewer")))
    der = plan.der().replace(utf8("viewer"), utf8("vieweR"))
    return Shown([der], plan.key)


@case(BROKEN)
def proved_with_another_key(shop: Workshop) -> Shown:
    return Shown(shop.good().chain, ec.generate_private_key(ec.SECP256R1()))


@case("certificate-missing")
def none_at_all(shop: Workshop) -> Shown:
    return Shown([], None)


# Numbers and versions
planned("serial-negative", setting(serial=integer(-5)), PROFILE, INVALID)
planned("serial-zero", setting(serial=integer(0)), PROFILE, INVALID)
planned("serial-of-21-bytes", setting(serial=integer(1 << 164)), PROFILE, INVALID)
planned("serial-of-1000-bytes", setting(serial=integer(1 << 7990)), PROFILE, INVALID)
planned("serial-empty", setting(serial=tlv(2)), INVALID, BROKEN)
planned("version-1", setting(version=b""), PURPOSE, PROFILE, INVALID)
planned("version-2-with-extensions", setting(version=tlv(0xA0, integer(1))), PROFILE, INVALID)
planned("version-9", setting(version=tlv(0xA0, integer(8))), PROFILE, INVALID)

# Names
OWN_URI = "2.5.29.17"
planned("no-alternative-name", lambda plan, _: plan.without(OWN_URI), PROFILE)
planned("empty-alternative-names", having(names()), PROFILE, INVALID)
planned("only-a-dns-name", having(names(dns("mallory.example"))), PROFILE)
planned("only-a-mail-address", having(names(tlv(0x81, b"mallory@example.org"))), PROFILE)
planned("another-owners-person", having(names(uri("haechi://ffffffffffffffffffff/person/mallory"))), PROFILE)
planned("a-devices-uri", lambda plan, shop: plan.replace(names(uri(f"haechi://{shop.owner_id}/device/00112233445566778899"))), PROFILE)
planned("a-makers-uri", having(names(uri("haechi://maker/device/00112233445566778899"))), PROFILE)
planned("another-scheme", lambda plan, shop: plan.replace(names(uri(f"https://{shop.owner_id}/person/mallory"))), PROFILE)
planned("upper-case-uri", lambda plan, shop: plan.replace(names(uri(f"HAECHI://{shop.owner_id}/person/mallory"))), PROFILE)
planned("trailing-slash", lambda plan, shop: plan.replace(names(uri(f"haechi://{shop.owner_id}/person/mallory/"))), PROFILE)
planned("escaped-uri", lambda plan, shop: plan.replace(names(uri(f"haechi://{shop.owner_id}/person/m%61llory"))), PROFILE)
planned("zero-byte-in-uri", lambda plan, shop: plan.replace(names(uri(f"haechi://{shop.owner_id}/person/mallory\0.x".encode()))), INVALID)
planned("two-uris", lambda plan, shop: plan.replace(names(*(uri(f"haechi://{shop.owner_id}/person/{who}") for who in ("mallory", "ada")))), PROFILE)
planned("uri-and-dns-name", lambda plan, shop: plan.replace(names(uri(f"haechi://{shop.owner_id}/person/mallory"), dns("mallory.example"))), PROFILE)
planned("name-twice", lambda plan, shop: plan.extensions.append(names(uri(f"haechi://{shop.owner_id}/person/ada"))), INVALID)
planned("empty-subject", setting(subject=name(None)), PROFILE, INVALID)
planned("another-common-name", setting(subject=name(b"ada")), PROFILE)
planned("zero-byte-in-common-name", setting(subject=name(b"mallory\0.example")), PROFILE, INVALID)
planned("common-name-not-utf8", setting(subject=name(b"mallory\xff\xfe")), PROFILE, INVALID, BROKEN)

# Roles
planned("no-role", lambda plan, _: plan.without(ROLE_OID), PROFILE)
planned("unknown-role", having(role(utf8("emperor"))), PROFILE)
planned("upper-case-role", having(role(utf8("Admin"))), PROFILE)
planned("empty-role", having(role(utf8(""))), PROFILE)
planned("role-with-a-zero-byte", having(role(utf8("admin\0"))), PROFILE)
planned("role-not-utf8", having(role(utf8(b"admin\xff"))), PROFILE)
planned("role-of-another-type", having(role(tlv(19, b"admin"))), PROFILE)
planned("role-without-type", having(role(b"admin")), PROFILE)
planned("two-roles-in-one", having(role(sequence(utf8("viewer"), utf8("admin")))), PROFILE)
planned("role-and-more", having(role(utf8("admin") + utf8("viewer"))), PROFILE)
planned("two-role-extensions", lambda plan, _: plan.extensions.append(role(utf8("viewer"))), INVALID)

# Extensions and encodings
planned("unknown-critical-extension", having(extension("1.2.3.4.5.6", utf8("?"), critical=True)), INVALID)
planned("extension-that-is-no-der", having(("2.5.29.19", sequence(oid("2.5.29.19"), tlv(1, b"\xff"), tlv(4, b"\xff\xff")))), INVALID)
planned("forty-extensions", having(*(extension(f"1.2.3.4.5.{n}", utf8("?")) for n in range(40))), INVALID)
planned("seventeen-kilobytes", having(extension("1.2.3.4.5.6", utf8(b"?" * 16_500))), INVALID, BROKEN)
planned("forty-kilobytes", having(extension("1.2.3.4.5.6", utf8(b"?" * 40_000))), INVALID, BROKEN)


def damaged(case_name: str, change: Callable[[bytes], bytes]):
    """Adds a good certificate whose bytes were changed."""

    def make(shop: Workshop) -> Shown:
        shown = shop.good()
        return Shown([change(shown.chain[0])], shown.key)

    CASES.append(Case(case_name, make, (INVALID, BROKEN)))


damaged("half-a-certificate", lambda der: der[: len(der) // 2])
damaged("bytes-after-the-end", lambda der: der + b"\0\0")
damaged("of-no-bytes", lambda _: b"")
damaged("of-one-byte", lambda _: b"\x30")
damaged("random-bytes", lambda _: os.urandom(700))
damaged("a-length-beyond-the-end", lambda der: b"\x30\x84\x7f\xff\xff\xff" + der[4:])
damaged("a-thousand-nested-sequences", lambda _: b"\x30\x80" * 1000)
damaged("text-instead-of-der", lambda _: b"-----BEGIN CERTIFICATE-----\n")

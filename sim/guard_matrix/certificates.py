"""Throw-away certificates for a server on loopback, made anew in every run: a right one, and each way to be wrong."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY: Final = timedelta(days=1)
HERE: Final = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"))
ELSEWHERE: Final = (x509.DNSName("testnet.binance.vision"), x509.DNSName("api.binance.com"))
RIGHT: Final = "right"
AUTHORITY_FILE: Final = "authority.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who signs: its key, and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def write_certificates(folder: Path) -> dict[str, Path]:
    """The PEM file (key and certificate) of each case, by its name; `RIGHT` is what a client may believe.

    Effects: they are in `folder`, and the certificate of the authority to trust in `AUTHORITY_FILE`.
    """
    trusted, stranger = _authority("throw-away authority"), _authority("another throw-away authority")
    (folder / AUTHORITY_FILE).write_bytes(_pem(trusted.certificate))
    now = datetime.now(UTC)
    cases: dict[str, Callable[[], bytes]] = {
        RIGHT: lambda: _issued(trusted, HERE, now - DAY, now + DAY),
        "wrong authority": lambda: _issued(stranger, HERE, now - DAY, now + DAY),
        "expired": lambda: _issued(trusted, HERE, now - 2 * DAY, now - DAY),
        "not yet valid": lambda: _issued(trusted, HERE, now + DAY, now + 2 * DAY),
        "another host": lambda: _issued(trusted, ELSEWHERE, now - DAY, now + DAY),
        "common name alone": lambda: _issued(trusted, (), now - DAY, now + DAY),
        "signed by itself": lambda: _own(stranger),
    }
    found = {}
    for number, (name, make) in enumerate(cases.items()):
        found[name] = folder / f"{number}.pem"
        found[name].write_bytes(make())
    return found


def _authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key, now - 10 * DAY, now + 10 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key=key, certificate=certificate)


def _issued(authority: Authority, names: Sequence[x509.GeneralName], begin: datetime, end: datetime) -> bytes:
    """Key and certificate of a server, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    public = authority.key.public_key()
    builder = (
        _builder(subject, authority.certificate.subject, key, begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _key_pem(key) + _pem(builder.sign(authority.key, hashes.SHA256()))


def _own(authority: Authority) -> bytes:
    """An authority's own key and certificate, in PEM."""
    return _key_pem(authority.key) + _pem(authority.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())

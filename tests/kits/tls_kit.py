"""Certificates, made anew, and Dask's settings that name them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates, which lie in a folder as files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.file = self._folder / "authority.pem"
        self.file.write_bytes(self._sign(self._name, self._key, is_authority=True))

    def certificate(self, name: str) -> tuple[str, str]:
        """Return the files of a new certificate and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(self._sign(_name(name), key, is_authority=False))
        key_file.write_bytes(
            key.private_bytes(
                PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(cert_file), str(key_file)

    def settings(self, *, trusts: Authority | None = None) -> dict[str, Any]:
        """Return Dask's settings for a cluster, or a client, with certificates of this one."""
        found: dict[str, Any] = {
            "distributed.comm.require-encryption": True,
            "distributed.comm.tls.ca-file": str((trusts or self).file),
        }
        for role in ("scheduler", "worker", "client"):
            cert, key = self.certificate(role)
            found[f"distributed.comm.tls.{role}.cert"] = cert
            found[f"distributed.comm.tls.{role}.key"] = key
        return found

    def _sign(self, name: x509.Name, key: Any, *, is_authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return settings as Dask reads them from the environment."""
    return {
        "DASK_" + name.upper().replace(".", "__").replace("-", "_"): str(value)
        for name, value in settings.items()
    }

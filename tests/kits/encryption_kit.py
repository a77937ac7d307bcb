"""Encrypted Parquet files, and functions that give their keys, or don't."""

from __future__ import annotations

import base64
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

CALLS: list[str] = []  # of functions below, in this process


class Kms(pe.KmsClient):
    """Keeps the master keys of footer and columns, ``f`` and ``c``."""

    keys: tuple[str, ...] = ("f", "c")

    def __init__(self, _config: object) -> None:
        super().__init__()

    def wrap_key(self, key: bytes, name: str) -> bytes:
        """Return a key that only this can open again."""
        return base64.b64encode(name.encode() + b":" + key)

    def unwrap_key(self, wrapped: bytes, name: str) -> bytes:
        """Return the key."""
        if name not in self.keys:
            raise PermissionError(f"secret-of-{name}")
        return base64.b64decode(wrapped).split(b":", 1)[1]


class KmsOfFooters(Kms):
    """Has the key of footers alone."""

    keys = ("f",)


class KmsOfNothing(Kms):
    """Has no key."""

    keys = ()


def encrypt(
    path: Path,
    table: pa.Table,
    columns: list[str],
    *,
    plaintext_footer: bool,
    row_group_size: int = 2,
    **options: object,
) -> None:
    """Write a table with encrypted columns; without any, all of it by the footer's key."""
    config = pe.EncryptionConfiguration(
        footer_key="f",
        column_keys={"c": columns} if columns else None,
        uniform_encryption=not columns,
        plaintext_footer=plaintext_footer,
    )
    properties = pe.CryptoFactory(Kms).file_encryption_properties(
        pe.KmsConnectionConfig(), config
    )
    with pq.ParquetWriter(
        path, table.schema, encryption_properties=properties, **options
    ) as writer:
        writer.write_table(table, row_group_size=row_group_size)


def _properties(kms: type[Kms]) -> pe.FileDecryptionProperties:
    return pe.CryptoFactory(kms).file_decryption_properties(pe.KmsConnectionConfig())


def all_keys() -> pe.FileDecryptionProperties:
    """Give what opens all files."""
    CALLS.append("all")
    return _properties(Kms)


def keys_of_footers() -> pe.FileDecryptionProperties:
    """Give what opens footers alone."""
    return _properties(KmsOfFooters)


def no_keys() -> pe.FileDecryptionProperties:
    """Give what opens nothing."""
    return _properties(KmsOfNothing)


def other_keys() -> pe.FileDecryptionProperties:
    """Give a key of other files."""
    return pe.create_decryption_properties(b"0123456789abcdef")


def fails() -> None:
    """Fail, with a key in the message."""
    raise ValueError("secret key 0123")


def nothing() -> None:
    """Give nothing."""

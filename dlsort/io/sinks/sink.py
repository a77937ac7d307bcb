"""Sink: what is written in the place of Parquet, as asked, or by the name it is to have."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "OUTPUT_FORMATS",
    "PARQUET",
    "PIPE",
    "Sink",
    "has_name_of",
    "sink_by_name",
    "sink_of",
]

PIPE = "-"  # a destination that is standard output
PARQUET = "parquet"
OUTPUT_FORMATS = (PARQUET, "arrow", "csv", "jsonl")

_SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".arrow", ".arrows", ".feather"), "arrow"),
}
_CODECS = {".gz": "gzip", ".zst": "zstd"}


class Sink(NamedTuple):
    """What is written.

    Attributes
    ----------
    format : str
        ``csv``, ``jsonl`` or ``arrow``.
    codec : str or None
        What all of a file is packed by.
    is_tabbed : bool
        Tabs part the values.
    is_stream : bool
        Arrow's form for streams, not for files.
    """

    format: str
    codec: str | None = None
    is_tabbed: bool = False
    is_stream: bool = False

    @property
    def suffix(self) -> str:
        """What names of parts end in."""
        return f".{self.format}"


def _split(path: str) -> tuple[str, str | None]:
    """Return the end of a name that tells a format, and the codec."""
    name = path.rsplit("/", 1)[-1].lower()
    codec = next((each for end, each in _CODECS.items() if name.endswith(end)), None)
    if codec is not None:
        name = name.rpartition(".")[0]
    return (name[name.rfind(".") :] if "." in name else ""), codec


def sink_by_name(path: str) -> Sink | None:
    """Return what a destination is by its name; None: that says nothing.

    Examples
    --------
    >>> sink_by_name("out/x.csv.gz")
    Sink(format='csv', codec='gzip', is_tabbed=False, is_stream=False)
    >>> sink_by_name("out.parquet"), sink_by_name("out"), sink_by_name("x.arrow.gz")
    (None, None, None)
    """
    suffix, codec = _split(path)
    found = _SUFFIXES.get(suffix)
    return None if found is None or (found == "arrow" and codec) else sink_of(path, found)


def sink_of(path: str, output_format: str) -> Sink:
    """Return the sink of a format; the name tells what else there is to know."""
    suffix, codec = _split(path)
    return Sink(
        output_format,
        None if output_format == "arrow" else codec,
        suffix == ".tsv" and output_format == "csv",
        output_format == "arrow" and (suffix == ".arrows" or path == PIPE),
    )


def has_name_of(path: str, sink: Sink) -> bool:
    """Return whether a file is of a sink's format by its name."""
    found = sink_by_name(path)
    return found is not None and found.format == sink.format

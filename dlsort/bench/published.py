"""What others have published of sorts of 100 TB, each figure with its source.

All sort 100-byte records with keys of 10 bytes, as sortbenchmark.org has them. What follows of
the figures (MB/s a core, dollars a TB) is computed here, and the page shows the arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NOT_COMPARABLE", "PUBLISHED", "Published"]


class Published(NamedTuple):
    """A published sort.

    Attributes
    ----------
    name, year, hardware, source, note : str
    n_bytes : float
        Sorted.
    seconds : float
    cores : int or None
        Physical ones, or (``unit``) virtual ones, of all machines.
    dollars : float or None
        For all of it, where it was published.
    """

    name: str
    year: int
    n_bytes: float
    seconds: float | None
    cores: int | None
    unit: str
    dollars: float | None
    hardware: str
    source: str
    note: str

    @property
    def mb_s_core(self) -> float | None:
        """MB/s a core."""
        if self.seconds is None or self.cores is None:
            return None
        return self.n_bytes / self.seconds / self.cores / 1e6

    @property
    def dollars_tb(self) -> float | None:
        """Dollars a TB."""
        return None if self.dollars is None else self.dollars / (self.n_bytes / 1e12)

    @property
    def arithmetic(self) -> str:
        """How the figures follow from those that were published."""
        parts = []
        if self.mb_s_core is not None:
            parts.append(
                f"{self.n_bytes / 1e12:g} TB / {self.seconds:,g} s / {self.cores:,} "
                f"{self.unit} = {self.mb_s_core:.1f} MB/s"
            )
        if self.dollars is not None:
            parts.append(f"${self.dollars:g} / {self.n_bytes / 1e12:g} TB")
        return "; ".join(parts)


_TENCENT = "512 nodes × 2 POWER8 of 10 cores, NVMe disks, 100 Gb/s Ethernet"
_TENCENT_SOURCE = "http://sortbenchmark.org/"

PUBLISHED = (
    Published(
        "Exoshuffle-CloudSort on Ray, Indy",
        2022,
        100e12,
        5378,
        640,
        "vCPUs",
        97.0,
        "40 Amazon i4i.4xlarge of 16 vCPUs, data in S3",
        "https://arxiv.org/abs/2301.03734",
        "uniform keys; dollars include requests to the store",
    ),
    Published(
        "Apache Spark (NADSort), CloudSort",
        2016,
        100e12,
        None,
        None,
        "",
        144.22,
        "394 Alibaba Cloud ecs.n1.large of 8 GB, with SSD cloud disks",
        "https://www.databricks.com/blog/2016/11/14/setting-new-world-record-apache-spark.html",
        "won Indy and Daytona alike",
    ),
    Published(
        "Tencent Sort, GraySort Indy",
        2016,
        100e12,
        98.8,
        10_240,
        "cores",
        None,
        _TENCENT,
        _TENCENT_SOURCE,
        "uniform keys; a core of POWER8 runs 8 hardware threads",
    ),
    Published(
        "Tencent Sort, GraySort Daytona",
        2016,
        100e12,
        134,
        10_240,
        "cores",
        None,
        _TENCENT,
        _TENCENT_SOURCE,
        "any keys; seconds of the published 44.8 TB/min",
    ),
    Published(
        "Apache Spark, GraySort Daytona",
        2014,
        100e12,
        1380,
        6592,
        "vCPUs",
        None,
        "206 Amazon EC2 virtual machines, 10 Gb/s, 618 GB/s of disks in all",
        "https://www.databricks.com/blog/2014/11/05/"
        "spark-officially-sets-a-new-record-in-large-scale-sorting.html",
        "any keys, without Spark's cache; seconds of the published 23 minutes",
    ),
)

NOT_COMPARABLE = (
    "The published sorts move 100-byte records that don't compress, from disks or a store to "
    "disks or a store, in far more bytes than their machines' memory, across a network. The "
    "figures above may be of compressed columns, from files that the page cache holds, of one "
    "machine: then they say what a core does, not what a cluster would.",
    "A vCPU is half a core on most of these machines, and processors have become faster since. "
    "Prices are of their year.",
    "Closest to the published ones is the suite terasort, of more records than the memory "
    "holds, on several machines.",
)

"""Every tunable, once: its value, and the measurement or argument that chose it.

One dataclass a package, and :class:`Tuning` of them all. The doors hand their default down as
a value, the part that is needed, so that another can be handed in: by a test, or by a planner.
A name that ends in ``_bytes``, ``_s`` or ``_ns`` says its unit, ``_rows`` counts rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from dlsort.sizes import GIB, MIB
from dlsort_cluster.tuning import MEMORY

__all__ = [
    "TUNING",
    "BudgetTuning",
    "FrameTuning",
    "IoTuning",
    "OrderTuning",
    "PlannerTuning",
    "ProofTuning",
    "RecordTuning",
    "SampleTuning",
    "StrategyTuning",
    "Tuning",
    "WriteCosts",
]


class Tunables:
    """Some tunables, which show those that are not at their default."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return what makes it, in short."""
        changed = [f"{name}={value!r}" for name, value in self.changed().items()]
        return f"{type(self).__name__}({', '.join(changed)})"

    def changed(self) -> dict[str, Any]:
        """Return those that are not at their default."""
        cls: Any = type(self)
        usual = cls()
        values = ((each.name, getattr(self, each.name)) for each in fields(cls))
        return {name: value for name, value in values if value != getattr(usual, name)}

    def __dask_tokenize__(self) -> str:
        """Tell it from others in the names of tasks."""
        return repr(self)


@dataclass(frozen=True, slots=True, repr=False)
class OrderTuning(Tunables):
    """The sort in one process: :mod:`dlsort.order`."""

    # Rows whose words are made at once: they stay in the cache.
    block_rows: int = 1 << 15
    fewest_lead_bits: int = 4  # a column enters the lead in part only if it gets so many bits
    # Up to here NumPy's stable argsort is quicker: it has sorted 4,000 when we have set up.
    numpy_rows: int = 1 << 12
    numpy_rows_of_1_byte: int = 1 << 16  # the same for values of one byte, which it counts
    numpy_rows_of_2_bytes: int = 1 << 19  # and of two bytes, which it counts in two passes
    # Up to here Arrow's stable sort of a table is quicker: it has sorted 4,000 rows by an int64
    # when we have set up.
    arrow_rows: int = 1 << 12
    # From here on a string column is sorted by the ranks of its values, if they are few: a hash
    # table for less is not worth a sample.
    ranked_rows: int = 1 << 16
    # They are few up to this share of the rows: hashing costs about 30 ns a row, each further
    # word of a string that ties as much.
    ranked_share: float = 1 / 16
    # From here on leads are made once, in memory of their own, not whenever they are used;
    lead_rows: int = 1 << 16
    # that wants key columns of so many bytes a row: with what a sort needs besides, 8 more stay
    # within 3 times their size.
    lead_row_bytes: float = 12.0
    coded_rows: int = 1 << 14  # from here on text gets an arithmetic code: a fit takes 2 ms
    # Values that it is fitted to: with 4 times as many 1 % more of TPC-H's comments differed.
    coded_sample: int = 1 << 10
    coded_ties: float = 0.05  # if such a share of these has the first 8 bytes of another one
    # Rows of a band of a partition: a column of eight bytes of them has 1 MiB and stays in the
    # cache of a core. 2.5 M rows in 8, 16 or 32 bands were put in order in 96 to 100 ms, in 4
    # in 112, in 64 in 123.
    band_rows: int = 1 << 17
    # Bands of all partitions together: their places in an input's rows are all open at once
    # while rows are grouped. 512 took 49 ms where 8 took 43.
    most_bands: int = 1 << 14
    # Rows that a shard has in a band at the least: below that, joining pieces costs more than
    # the cache saves.
    band_shard_rows: int = 1 << 11
    # Tied rows that are sorted by a further column at once, which bounds the memory and is the
    # work of a thread.
    refined_rows: int = 1 << 19
    top_share: float = 0.25  # more of the rows than this are found by sorting all of them
    # Columns from here on are brought to the groups of a sort before they are gathered: at
    # 10 MB that and a gather in groups take as long as the gather alone, at 80 MB half as long.
    spread_bytes: int = 16 * MIB


@dataclass(frozen=True, slots=True, repr=False)
class ProofTuning(Tunables):
    """The checksum of rows: :mod:`dlsort.proof`."""

    # The hashes of a block (512 KiB) stay in the L2 cache from column to column. With a quarter
    # of the rows, two threads passed the interpreter over so often that it took 2.5 × as long.
    block_rows: int = 65_536


@dataclass(frozen=True, slots=True, repr=False)
class WriteCosts(Tunables):
    """What writing a value takes in one encoding or another, by pyarrow 26.

    All are nanoseconds beyond PLAIN, fitted to user time of 1 M values in row groups of
    262,144 (DESIGN.md, "Encodings of a part follow its rows").
    """

    # What a byte of the file is worth. At 7 no column of lineitem is written more slowly for
    # its size alone: l_comment would save 1.1 bytes for 8 ns, and in its own order 3.3 for 24.
    byte_ns: float = 7.0
    larger: float = 1.05  # no column is to be larger than pyarrow's default by more than that
    # A dictionary, and that times its values over all values: 9 ns for 100 of 262,144 values,
    # 14 for 10,000, 22 for 30,000, 34 for 83,000, beside 5 for PLAIN.
    dictionary_ns: float = 4.0
    dictionary_share_ns: float = 60.0
    # The same for text: -10 ns for 1,000 values, -8 for 30,000, 23 for 53,000.
    text_dictionary_share_ns: float = 100.0
    # A dictionary expected to fill its page so far is not tried: once it overflows, 50 ns have
    # been spent on nothing. The estimate is within a fifth.
    dictionary_fill: float = 0.8
    # DELTA_BINARY_PACKED, and that times the bytes it makes: 7 ns for a sequence, 12 for random
    # 24 bits, 19 for random 64.
    delta_ns: float = 2.0
    delta_byte_ns: float = 1.5
    # What PLAIN takes for each byte, if it compresses, with a light codec and with a thorough
    # one: a number of 8 bytes 5 ns if not, else 14 to 22 with snappy, 25 to 40 with zstd.
    packing_byte_ns: tuple[float, float] = (1.5, 2.5)
    split_ns: float = 3.0  # BYTE_STREAM_SPLIT of floats: 7 to 10 ns, where PLAIN takes 4 to 7
    # DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY, with a light codec and with a thorough one,
    # which gains from fewer bytes: l_comment in its own order takes 81 (PLAIN), 94 and 105 ns
    # with snappy, 115, 122 and 123 with zstd; in another 98, 106 and 123, and 147, 146 and 163.
    delta_length_ns: tuple[float, float] = (15.0, 0.0)
    delta_text_ns: tuple[float, float] = (28.0, 8.0)
    # What compresses no better than that is passed over quickly, but not text with lengths
    # between the letters.
    hopeless_ratio: float = 0.97
    # Nanoseconds that a byte of such text takes less without them: 12 random letters 52 ns and
    # 37, 32 hexadecimal digits 148 and 54.
    hopeless_byte_ns: float = 1.5
    thorough_codecs: tuple[str, ...] = ("zstd", "gzip", "brotli")  # those that have levels


@dataclass(frozen=True, slots=True, repr=False)
class IoTuning(Tunables):
    """Parquet files read and written: :mod:`dlsort.io`."""

    # Footers are small reads. Where they come from far away latency is what costs, and so many
    # threads share it;
    footer_threads: int = 32
    # of files that are at hand threads would only pass the interpreter on: the first so many
    # are read one by one, and the others too unless each took longer than that, on average.
    files_timed: int = 16
    slow_file_s: float = 0.002
    # Files whose names differ by numbers alone are compared here and there, to see whether a
    # destination is one table: in a store each costs a round trip.
    compared_files: int = 64
    # Files up to this size, Arrow's or their own, are read together with their neighbours: a
    # task for each would cost more than the rows. Larger ones keep all threads busy.
    small_file_bytes: int = MIB // 4
    # So are files of short column chunks: opening one takes 20 µs, as reading so many bytes of
    # a long one does. 10 files of 2,000 columns of 20 rows took 5 s one by one, and take 1.2.
    open_chunk_bytes: int = 8192
    # What is read together at the most, so that all threads have something to read.
    joined_bytes: int = 16 * MIB
    # Opening a file takes about as long as reading so many bytes of a large one; so no more
    # than 250 files are read together.
    open_bytes: int = MIB // 16
    # A file up to this size is read by one request, though only some columns are wanted: a
    # request to an object store takes longer, and of a file the system reads as much ahead.
    whole_file_bytes: int = MIB // 4
    # Objects that are copied or removed at once when a sort publishes in a store: that does the
    # work, and the latency of requests is what costs. 64 parts take 4 rounds, not 64.
    store_requests: int = 16
    # The headers of pages of a column chunk up to this size are looked at together with its
    # neighbours': 2 µs a chunk; by itself each takes 200 (40,000 chunks of 80 bytes).
    small_chunk_bytes: int = MIB // 16
    # Up to this share of a row group's rows, the values of the others are not decoded: pages of
    # lineitem take 0.45 of the time for few rows, 0.56 for 3 %, 0.82 for 10 and 1.1 for 20;
    # those of the table 0.8, 0.85, 1.0 and 1.2.
    picked_share: float = 1 / 16
    chunks_bytes: int = MIB  # that are fetched at once to look at them
    batch_share: int = 4  # a batch of a column's text may take a fourth of the memory
    row_group_rows: int = 1_048_576 // 4  # of the output; readers want 122,880 to 1,048,576
    # A column chunk whose dictionary page has at most this many bytes a value is worth keeping
    # as a dictionary: l_comment has 4.2, flags 0.
    dictionary_value_bytes: float = 0.5
    # From here on a part's own rows choose its encodings. A smaller part is written in some
    # milliseconds, of which looking would take a third.
    encoding_rows: int = 1 << 14
    # Runs of 129 neighbouring rows that are looked at: 16 columns in 4 ms, and the number of
    # different values within a fifth. 32 take 7 ms, and within an eighth.
    encoding_runs: int = 16
    encoding_text_runs: int = 4  # one of so many of them is looked at letter by letter
    encoding_letters: int = 64  # of each text; what follows counts as compressed as these
    # A column of more bytes a value is not looked at: a sample would copy megabytes.
    encoding_value_bytes: int = 256
    costs: WriteCosts = field(default_factory=WriteCosts)
    # CSV and JSON lines are read in blocks of so much text, and Arrow IPC of so much memory, a
    # thread and a row group each. As it fixes the row groups, it follows from nothing else.
    text_block_bytes: int = 16 * MIB
    text_sample_bytes: int = MIB  # of text whose rows say which types columns have


@dataclass(frozen=True, slots=True, repr=False)
class SampleTuning(Tunables):
    """What is read for the model, and how much: :mod:`dlsort.model`."""

    # Largest partition over the mean that the sample is sized for; below the promised 1.05
    # because the formula is an expectation.
    balance: float = 1.035
    # Share of the source's bytes that may be read when the source is small. Reading a twentieth
    # costs about 2 % of a job.
    share: float = 0.05
    key_share: float = 0.10  # of the key columns' bytes, on a source of large_bytes or more
    large_bytes: int = GIB  # from here on the promise of a tenth of the key columns holds
    # Row groups that span at least this share of all row groups' ranges, on average, count as
    # mixed: a few of them then stand for all.
    overlap: float = 0.5
    fewest_groups: int = 6  # row groups compared at the least before the others stay unread
    # Small files are sampled in runs of so many rows: a run costs 0.2 ms beside the rows;
    unit_rows: int = 1 << 14
    fewest_units: int = 64  # if that leaves so many runs
    # Rows of the row groups that one task samples, and no more than 64 row groups: a task costs
    # some milliseconds, as much as the keys of so many rows.
    batch_rows: int = 1 << 16
    # Tasks for each thread that sample the row groups which mostly need not be: 48 tasks that
    # had nothing to do took 0.1 s of 2.8.
    rest_tasks: int = 4
    # Rows drawn for a band, on average, at the least: a quarter more or less rows in a band
    # make no difference.
    draws_a_band: int = 16
    # Rows drawn, at the most, from row groups that are compared: 30 in each of 64 cells of 64
    # row groups.
    compared_rows: int = 1 << 17
    # Nanoseconds of a row that is put in order with its row group so that rows are drawn
    # evenly, of numbers and of text, and of a drawn row until the model is fitted: 60 and 150
    # of 400,000 rows, 880 of 9,054.
    ordered_ns: float = 60.0
    ordered_text_ns: float = 150.0
    draw_ns: float = 880.0
    # Of what the promise allows beyond 1, what rows that are drawn by place may be off by.
    by_place_share: float = 0.3
    # Memory for each drawn row while the model is fitted, with its place, its weight and a key
    # of 16 bytes: 2.3 GiB for 13 million.
    row_bytes: int = 192
    # The balance that is promised, where parts hold so many rows, and where they hold fewer: a
    # known model is used only if it keeps that,
    promised: float = 1.05
    promised_rows: int = 200_000
    promised_few: float = 1.15
    doubt: float = (
        0.01  # and such is the chance that it does not, as far as row groups are alike
    )
    # Rows between two known keys, over those of a part: two steps more or less at each of its
    # ends is all that they leave open. Parts may be half as long as those of the model.
    known_step: float = 0.0201
    # Row groups compared at the least: fewer do not show whether they are alike.
    fewest_compared: int = 4
    # Rows that are new, and those compared, over all: more keys are not read for a known model.
    known_share: float = 0.1
    # Files of a destination whose footers are read for a model before it is replaced: they take
    # about a millisecond each where they come from far away.
    most_known_parts: int = 1_000
    most_marks: int = 2_000  # files that the first part names: 30 KB of its footer
    seed: int = 20_200_614  # any constant: the same input gives the same sample, and parts


@dataclass(frozen=True, slots=True, repr=False)
class BudgetTuning(Tunables):
    """How a job's memory is shared out: :mod:`dlsort.strategies.budget`."""

    # Arrow size of an output partition when nobody says. At 128 MiB a column of eight bytes (a
    # few MiB) stays in the last-level cache while it is gathered, and a snappy file of it has
    # 30 to 60 MB.
    partition_bytes: int = 128 * MIB
    # A memory that leaves less for a partition is refused: below that, task overhead outweighs
    # the rows.
    smallest_part_bytes: int = 4 * MIB
    fewest_parts_refused: int = 1000  # up to here partitions may outnumber the rows
    most_parts: int = 100_000  # a partition size that makes more is taken for a mistake
    # Partitions, and inputs as far as they fit the memory, grow with the data so that there are
    # no more of either: under 200,000 tasks, of which a scheduler keeps some 6 KB each.
    usual_most_parts: int = 90_000
    # Arrow size of an input partition: pieces of this size keep all threads busy to the end, at
    # about 1 ms of task overhead each.
    input_bytes: int = 128 * MIB
    # Share of the machine's memory, or of a cluster's, that a job may use when nobody says;
    # below the 80 % where Dask lets a worker begin no more tasks.
    job_memory_share: float = 0.7
    base_bytes: int = MEMORY.base_bytes  # what a process takes before it holds a row
    store_share: float = MEMORY.store_share  # of the rest, for shards that wait
    # Share that is left to them where row groups are large.
    least_store_share: float = 0.1
    # How many times its own size a partition needs while it is merged, sorted, gathered and
    # written, per thread: shards, their concatenation, the gathered rows, the encoded file, and
    # what allocators keep of the one before. With 4, a job of 600 MiB peaked at 708; with 8, at
    # 585.
    working_copies: int = 8
    # How many times its own size a row group needs while it is read, proved, grouped and handed
    # on, per thread: 20 MiB of lineitem took 75.
    reading_copies: int = 4
    # Slices of a row group that does not fit the memory: for each the rows before it are
    # decoded again, so a thousand cost 500 times the reading.
    most_slices: int = 1000


@dataclass(frozen=True, slots=True, repr=False)
class StrategyTuning(Tunables):
    """When a source's own order is of use, and what surprises: :mod:`dlsort.strategies`."""

    # A part with so many times its predicted rows is reported, and one of so many times the
    # size that fits is sorted in pieces.
    surprise: float = 1.5
    # Below so many rows a part the promise of balance does not hold, and no size surprises.
    fewest_rows_of_surprise: int = 20_000
    # Pieces that a part has at the least, where row groups are that small: at each end it reads
    # a piece of every sorted dataset in vain, but opening a file takes a millisecond.
    range_pieces: int = 32
    # Files of the source that workers look for: the first, the last, and one of every folder.
    seen_files: int = 64
    # Row groups, and rows of each, that show what share a condition keeps: 2 M rows of one or
    # two columns are read in some 20 ms.
    kept_groups: int = 8
    kept_rows: int = 262_144
    seen_s: float = (
        2.0  # a shared file system may take so long to show what another has written
    )


@dataclass(frozen=True, slots=True, repr=False)
class PlannerTuning(Tunables):
    """How far predictions are trusted: :mod:`dlsort.planner`."""

    # What history tells may choose among plans that cost no more than that by the machine's
    # profile: however wrong it is, it costs a job no more.
    most_regret: float = 1.2
    # What has to be won for a plan other than the one that built-in speeds choose, which
    # everybody gets: parts stay as they were unless there is a reason.
    least_gain: float = 0.05
    # A second of all cores' processor time, beside one of the clock.
    processor_weight: float = 0.25
    # Below that a job is neither looked up nor remembered: to do so takes 10 ms.
    least_learned_s: float = 0.2
    learns: bool = True  # not while the machine is measured
    # Of the inputs, or of all work, what shows whether a plan is right: what is done by then is
    # what a wrong one costs.
    watched_share: float = 0.02
    # Rows so many times larger or smaller than planned make parts of a size that nobody wants.
    far_off: float = 2.0
    most_redone: float = 0.25  # of the rows may be read again for that, unless it is far more
    # What another way has to save of the time that is left, beside that of a second look.
    gain_again: float = 0.2
    least_again_s: float = 0.2


@dataclass(frozen=True, slots=True, repr=False)
class FrameTuning(Tunables):
    """Sorts of Dask's frames: :mod:`dlsort.frames`, :mod:`dlsort.frame_tasks`."""

    partition_bytes: float = 128e6  # of a partition, for npartitions="auto"; as Dask has it
    footers: int = 8  # read to estimate the size of a Parquet dataset
    # How many times its even share each partition draws: their lengths are not known before,
    # and weights make up for the rest.
    oversample: float = 2.0
    # Partitions of a large frame that are read of its Parquet files, on average, at the least,
    # so that not one or two stand for all.
    fewest_partitions: int = 32


@dataclass(frozen=True, slots=True, repr=False)
class RecordTuning(Tunables):
    """Sorts of the sort benchmark's records: :mod:`dlsort.records`."""

    # Largest partition over the mean that the sample is sized for, where 1.03 is promised.
    balance: float = 1.015
    # Size of a file when nobody says: a quarter of a GB, whose keys and places have 40 MB.
    partition_bytes: int = 256 * MIB
    piece_records: int = 1_000_000  # of an input partition: 100 MB, a tenth of a second
    # Processor time of a record, beyond what both ways take: to fetch it from the system's
    # cache by its place, or to carry it to its part in memory (DESIGN.md, "Records are fetched
    # by their places"),
    fetch_ns: float = 40.0
    carry_ns: float = 220.0
    # and time of the clock: to fetch it from a disk, a page each; and of a byte of it that is
    # written to a disk and read again on the way.
    miss_ns: float = 100_000.0
    spill_ns: float = 2.0
    # Share of the memory that is free beside the job which the system will use as its cache of
    # the source while the result is written.
    cache_share: float = 0.85


@dataclass(frozen=True, slots=True, repr=False)
class Tuning(Tunables):
    """The tunables of a sort, by the package that they are for."""

    order: OrderTuning = field(default_factory=OrderTuning)
    proof: ProofTuning = field(default_factory=ProofTuning)
    io: IoTuning = field(default_factory=IoTuning)
    sample: SampleTuning = field(default_factory=SampleTuning)
    budget: BudgetTuning = field(default_factory=BudgetTuning)
    strategies: StrategyTuning = field(default_factory=StrategyTuning)
    planner: PlannerTuning = field(default_factory=PlannerTuning)
    frames: FrameTuning = field(default_factory=FrameTuning)
    records: RecordTuning = field(default_factory=RecordTuning)


TUNING = Tuning()

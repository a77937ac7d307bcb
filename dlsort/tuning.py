"""Every tunable, once: its unit, and the measurement or argument that chose it."""

from __future__ import annotations

from dataclasses import dataclass

from dlsort.sizes import GIB, MIB

__all__ = ["TUNING", "WRITE_COSTS", "Tuning", "WriteCosts"]


@dataclass(frozen=True)
class Tuning:
    """The tunables of a job.

    Attributes
    ----------
    partition_bytes : int
        Arrow size of an output partition when nobody says. At 128 MiB a
        column of eight bytes (a few MiB) stays in the last-level cache while
        it is gathered, and a snappy file of it has 30 to 60 MB.
    smallest_part_bytes : int
        A memory that leaves less for a partition is refused: below that, task
        overhead outweighs the rows.
    one_part_bytes : int
        Up to this Arrow size one part is better than one a thread.
    fewest_parts_refused : int
        Up to here partitions may outnumber the rows.
    most_parts : int
        A partition size that makes more than these is taken for a mistake.
    input_bytes : int
        Arrow size of an input partition: pieces of this size keep all threads
        busy to the end, at about 1 ms of task overhead each.
    small_file_bytes : int
        Files up to this size, Arrow's or their own, are read together with their neighbours:
        a task for each would cost more than the rows. Larger ones keep all threads busy.
    joined_bytes : int
        What is read together at the most, so that all threads have something to read.
    open_bytes : int
        Opening a file takes about as long as reading so many bytes of a large one; so no more
        than 250 files are read together.
    whole_file_bytes : int
        A file up to this size is read by one request, though only some columns are wanted: a
        request to an object store takes longer, and of a file the system reads as much ahead.
    balance : float
        Largest partition over the mean that the sample is sized for; below
        the promised 1.05 because the formula is an expectation.
    surprise : float
        A part with so many times its predicted rows is told of, and one of so many times the
        size that fits is sorted in pieces.
    fewest_rows_of_surprise : int
        Below so many rows a part the promise of balance does not hold, and no size surprises.
    sample_share : float
        Share of the source's bytes that a sample may read when the source is
        small. Reading a twentieth costs about 2 % of a job.
    sample_key_share : float
        Share of the key columns' bytes that it may read on a source of
        ``large_bytes`` or more.
    sample_overlap : float
        Row groups that span at least this share of all row groups' ranges, on
        average, count as mixed: a few of them then stand for all.
    sample_fewest_groups : int
        Row groups that are compared at the least before the others are left
        unread.
    sample_unit_rows : int
        Small files are sampled in runs of so many rows: a run costs 0.2 ms beside the rows.
    sample_fewest_units : int
        If that leaves so many runs.
    sample_fewest_partitions : int
        Partitions of a large frame that are read of its Parquet files, on average, at the
        least, so that not one or two stand for all.
    sample_batch_rows : int
        Rows of the row groups that one task samples, and no more than 64 row groups: a task
        costs some milliseconds, as much as the keys of so many rows.
    sample_rest_tasks : int
        Tasks for each thread that sample the row groups which mostly need not be: 48 tasks that
        had nothing to do took 0.1 s of 2.8.
    sample_band_rows : int
        Rows drawn for a band, on average, at the least: a quarter more or less rows in a band
        make no difference.
    sample_compared_rows : int
        Rows drawn, at the most, from row groups that are compared: 30 in each of 64 cells of
        64 row groups.
    sample_row_bytes : int
        Memory for each drawn row while the model is fitted, with its place, its weight and a
        key of 16 bytes: 2.3 GiB for 13 million.
    sample_seed : int
        Any constant: the same input gives the same sample, hence the same parts.
    frame_oversample : float
        How many times its even share each partition of a frame draws: their
        lengths are not known before, and weights make up for the rest.
    most_rereads : float
        Rows that may be read for each row of a sorted source: a row group that is cut is read
        for each of its parts. Reading is a fifth of a job, what an exchange needs twice that.
    most_range_rereads : float
        The same where parts read the pieces whose ranges meet theirs. Against an exchange in
        memory 1.25 took 11 to 17 % less of the processor's time, 1.37 took 14 % more.
    range_pieces : int
        Pieces that a part has at the least, where row groups are that small: at each end it
        reads a piece of every sorted dataset in vain, but opening a file takes a millisecond.
    large_bytes : int
        From here on the promise of a tenth of the key columns holds.
    job_memory_share : float
        Share of the machine's memory, or of a cluster's, that a job may use when nobody
        says; below the 80 % where Dask lets a worker begin no more tasks.
    store_share : float
        Share of a process's memory for shards that wait; what goes beyond is
        spilled.
    working_copies : int
        How many times its own size a partition needs while it is merged,
        sorted, gathered and written, per thread: shards, their concatenation,
        the gathered rows, the encoded file, and what allocators keep of the
        one before. With 4, a job of 600 MiB peaked at 708; with 8, at 585.
    reading_copies : int
        How many times its own size a row group needs while it is read, proved, grouped and
        handed on, per thread: 20 MiB of lineitem took 75.
    least_store_share : float
        Share of a process's memory that is left to waiting shards where row groups are large.
    base_bytes : int
        What a process takes before it holds a row: Python, NumPy, Arrow,
        Dask and the compiled kernels (measured 255 MiB, and 60 more once
        Parquet is read and written).
    row_group_rows : int
        Rows of an output row group; readers are tuned to 122,880 to 1,048,576.
    dictionary_value_bytes : float
        A column chunk whose dictionary page has at most this many bytes a
        value is worth keeping as a dictionary: l_comment has 4.2, flags 0.
    encoding_rows : int
        Rows from which a part's own rows choose its encodings. A smaller part is written in
        some milliseconds, of which looking would take a third.
    encoding_runs : int
        Runs of 129 neighbouring rows that are looked at: 16 columns in 4 ms, and the number of
        different values within a fifth. 32 take 7 ms, and within an eighth.
    encoding_value_bytes : int
        A column of more bytes a value is not looked at: a sample would copy megabytes.
    numpy_rows : int
        Rows up to which NumPy's stable argsort is quicker: it has sorted 4,000
        when we have set up.
    numpy_rows_of_1_byte : int
        The same for values of one byte, which it counts.
    numpy_rows_of_2_bytes : int
        The same for values of two bytes, which it counts in two passes.
    ranked_rows : int
        A string column of at least so many rows is sorted by the ranks of its
        values, if they are few: a hash table for less is not worth a sample.
    ranked_share : float
        They are few up to this share of the rows: hashing costs about 30 ns a
        row, each further word of a string that ties as much.
    lead_rows : int
        Rows from which leads are made once, in memory of their own, rather
        than each time they are asked for.
    lead_row_bytes : float
        That wants key columns of so many bytes a row: with what a sort needs
        besides, 8 more stay within 3 times their size.
    coded_rows : int
        A text column of at least so many rows gets an arithmetic code: to fit one takes 2 ms.
    coded_sample : int
        Values that it is fitted to. Four times as many told 1 % more of TPC-H's comments apart.
    coded_ties : float
        That wants so many of these to have the first 8 bytes of another one.
    band_rows : int
        Rows of a band of a partition: a column of eight bytes of them has 1 MiB and stays in
        the cache of a core. 2.5 M rows in 8, 16 or 32 bands were put in order in 96 to 100 ms,
        in 4 in 112, in 64 in 123.
    most_bands : int
        Bands of all partitions together: their places in an input's rows are all open at
        once while rows are grouped. 512 took 49 ms where 8 took 43.
    band_shard_rows : int
        Rows that a shard has in a band at the least: below that, joining pieces costs more
        than the cache saves.
    refined_rows : int
        Tied rows that are sorted by a further column at once, which bounds
        the memory and is the work of a thread.
    top_share : float
        From this share of the rows on, the first of them are found by
        sorting all.
    spread_bytes : int
        Columns from this size on are brought to the groups of a sort before
        they are gathered: at 10 MB that and a gather in groups take as long as
        the gather alone, at 80 MB half as long.
    """

    partition_bytes: int = 128 * MIB
    smallest_part_bytes: int = 4 * MIB
    one_part_bytes: int = 16 * MIB
    fewest_parts_refused: int = 1000
    most_parts: int = 100_000
    input_bytes: int = 128 * MIB
    small_file_bytes: int = MIB // 4
    joined_bytes: int = 16 * MIB
    open_bytes: int = MIB // 16
    whole_file_bytes: int = MIB // 4
    balance: float = 1.035
    surprise: float = 1.5
    fewest_rows_of_surprise: int = 20_000
    sample_share: float = 0.05
    sample_key_share: float = 0.10
    sample_overlap: float = 0.5
    sample_fewest_groups: int = 6
    sample_unit_rows: int = 1 << 14
    sample_fewest_units: int = 64
    sample_fewest_partitions: int = 32
    sample_batch_rows: int = 1 << 16
    sample_rest_tasks: int = 4
    sample_band_rows: int = 16
    sample_compared_rows: int = 1 << 17
    sample_row_bytes: int = 192
    sample_seed: int = 20_200_614
    frame_oversample: float = 2.0
    most_rereads: float = 2.0
    most_range_rereads: float = 1.3
    range_pieces: int = 32
    large_bytes: int = GIB
    job_memory_share: float = 0.7
    store_share: float = 0.45
    working_copies: int = 8
    reading_copies: int = 4
    least_store_share: float = 0.1
    base_bytes: int = 320 * MIB
    row_group_rows: int = 1_048_576 // 4
    dictionary_value_bytes: float = 0.5
    encoding_rows: int = 1 << 14
    encoding_runs: int = 16
    encoding_value_bytes: int = 256
    numpy_rows: int = 1 << 12
    numpy_rows_of_1_byte: int = 1 << 16
    numpy_rows_of_2_bytes: int = 1 << 19
    ranked_rows: int = 1 << 16
    ranked_share: float = 1 / 16
    lead_rows: int = 1 << 16
    lead_row_bytes: float = 12.0
    coded_rows: int = 1 << 14
    coded_sample: int = 1 << 10
    coded_ties: float = 0.05
    band_rows: int = 1 << 17
    most_bands: int = 1 << 14
    band_shard_rows: int = 1 << 11
    refined_rows: int = 1 << 19
    top_share: float = 0.25
    spread_bytes: int = 16 * MIB


@dataclass(frozen=True)
class WriteCosts:
    """What writing a value takes in one encoding or another, by pyarrow 26.

    All are nanoseconds beyond PLAIN, fitted to user time of 1 M values in row groups of
    262,144 (DESIGN.md, "Encodings of a part follow its rows").

    Attributes
    ----------
    byte_ns : float
        What a byte of the file is worth. At 7 no column of lineitem is written more slowly
        for its size alone: l_comment would save 1.1 bytes for 8 ns, and in its own order 3.3
        for 24.
    larger : float
        No column is to be larger than pyarrow's default by more than that factor.
    dictionary_ns, dictionary_share_ns : float
        A dictionary, and that times its values over all values: 9 ns for 100 of 262,144
        values, 14 for 10,000, 22 for 30,000, 34 for 83,000, beside 5 for PLAIN.
    text_dictionary_share_ns : float
        The same for text: -10 ns for 1,000 values, -8 for 30,000, 23 for 53,000.
    dictionary_fill : float
        A dictionary expected to fill its page so far is not tried: once it overflows, 50 ns
        have been spent on nothing. The estimate is within a fifth.
    delta_ns, delta_byte_ns : float
        DELTA_BINARY_PACKED, and that times the bytes it makes: 7 ns for a sequence, 12 for
        random 24 bits, 19 for random 64.
    packing_byte_ns : tuple of float
        What PLAIN takes for each byte, if it compresses, with a light codec and with a
        thorough one: a number of 8 bytes 5 ns if not, else 14 to 22 with snappy, 25 to 40
        with zstd.
    split_ns : float
        BYTE_STREAM_SPLIT of floats: 7 to 10 ns, where PLAIN takes 4 to 7.
    delta_length_ns, delta_text_ns : tuple of float
        DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY, with a light codec and with a thorough
        one, which gains from fewer bytes: l_comment in its own order takes 81 (PLAIN), 94 and
        105 ns with snappy, 115, 122 and 123 with zstd; in another 98, 106 and 123, and 147,
        146 and 163.
    hopeless_ratio : float
        What compresses no better than that is passed over quickly, but not text with lengths
        between the letters.
    hopeless_byte_ns : float
        Nanoseconds that a byte of such text takes less without them: 12 random letters 52 ns
        and 37, 32 hexadecimal digits 148 and 54.
    thorough_codecs : tuple of str
        Codecs that have levels.
    """

    byte_ns: float = 7.0
    larger: float = 1.05
    dictionary_ns: float = 4.0
    dictionary_share_ns: float = 60.0
    text_dictionary_share_ns: float = 100.0
    dictionary_fill: float = 0.8
    delta_ns: float = 2.0
    delta_byte_ns: float = 1.5
    packing_byte_ns: tuple[float, float] = (1.5, 2.5)
    split_ns: float = 3.0
    delta_length_ns: tuple[float, float] = (15.0, 0.0)
    delta_text_ns: tuple[float, float] = (28.0, 8.0)
    hopeless_ratio: float = 0.97
    hopeless_byte_ns: float = 1.5
    thorough_codecs: tuple[str, ...] = ("zstd", "gzip", "brotli")


TUNING = Tuning()
WRITE_COSTS = WriteCosts()

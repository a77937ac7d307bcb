"""The local doors for arrays: row numbers, ranks, and whether there is anything to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, Array, Stream, chunked, column, oracle, same_as_before
from dlsort import argsort, is_sorted, rank, word_source
from dlsort.errors import BadOptionError, KeyTypeError
from dlsort.keys import SortKey
from dlsort_kernels import groups
from dlsort_kernels import threads as kernel_threads

BOTH = [True, False]
PLACES = ["first", "last"]


@pytest.fixture
def few_rows_take_every_path(monkeypatch):
    shrink(monkeypatch)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Make groups, blocks and the work of a thread so small that a few rows fill many."""
    patch.setattr(groups, "GROUP_ROWS", 32)
    patch.setattr(kernel_threads, "THREAD_ROWS", 100)
    patch.setattr(word_source, "BLOCK_ROWS", 150)
    patch.setattr(word_source.LeadWords, "block_rows", 150)


# ---------------------------------------------------------------- one key column


@pytest.mark.parametrize("na_position", ["first", "last"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_the_row_numbers_of_every_key_type(kind, ascending, na_position):
    rng = np.random.default_rng(5)
    key = SortKey("values", not ascending, na_position == "first")
    for n, distinct in ((0, None), (1, None), (200, None), (200, 3)):
        table = pa.table({"values": column(rng, kind, n, distinct=distinct)})
        want = oracle(table, [key])
        inputs = [
            table["values"],
            table["values"].combine_chunks() if n else column(rng, kind, 0),
            chunked(table)["values"],
            Stream(table["values"]),
        ]
        for values in inputs:
            got = argsort(values, ascending=ascending, na_position=na_position)
            assert got.dtype == np.int64
            assert got.tolist() == want


NUMPY: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "int64": lambda rng: rng.integers(-5, 5, 99),
    "int64, all bits": lambda rng: rng.integers(-(2**63), 2**63 - 1, 99),
    "uint64": lambda rng: rng.integers(0, 2**64 - 1, 99, dtype=np.uint64),
    "big-endian int16": lambda rng: rng.integers(-300, 300, 99).astype(">i2"),
    "big-endian int64": lambda rng: rng.integers(-(2**40), 2**40, 99).astype(">i8"),
    "big-endian float64": lambda rng: rng.normal(size=99).astype(">f8"),
    "float16 with NaN": lambda rng: np.where(
        rng.random(99) < 0.2, np.nan, rng.normal(size=99)
    ).astype(np.float16),
    "float32 with NaN and infinities": lambda rng: rng.choice(
        np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], np.float32), 99
    ),
    "bool": lambda rng: rng.random(99) < 0.5,
    "every third bool": lambda rng: (rng.random(297) < 0.5)[::3],
    "datetime64 with NaT": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01", "2023-02-03"], "M8[ns]"), 99
    ),
    "days with NaT": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01"], "M8[D]"), 99
    ),
    "big-endian datetime64": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01"], ">M8[s]"), 99
    ),
    "timedelta64 with NaT": lambda rng: rng.choice(np.array([5, "NaT", -2], "m8[us]"), 99),
    "integers of all widths at their limits": lambda rng: rng.choice(
        np.array([-(2**31), 2**31 - 1, 0, -1], np.int32), 99
    ),
    "every other row": lambda rng: rng.integers(0, 9, 198)[::2],
    "backwards": lambda rng: rng.normal(size=99)[::-1],
    "a column of a matrix": lambda rng: rng.integers(0, 9, (99, 4))[:, 2],
    "read-only": lambda rng: np.frombuffer(rng.bytes(99), np.uint8),
    "text": lambda rng: rng.integers(0, 50, 99).astype(str),
    "big-endian text": lambda rng: rng.choice(np.array(["zoë", "日本", "", "a"], ">U4"), 99),
}


@pytest.mark.parametrize("na_position", ["first", "last"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("name", NUMPY)
def test_numpy_arrays_as_pandas_sorts_them(name, ascending, na_position):
    values = NUMPY[name](np.random.default_rng(7))
    before = values.copy()
    got = argsort(values, ascending=ascending, na_position=na_position)
    native = pd.Series(values.astype(values.dtype.newbyteorder("=")))
    if native.dtype == np.float16:
        native = native.astype(np.float32)
    want = native.sort_values(ascending=ascending, na_position=na_position, kind="stable")
    assert got.tolist() == want.index.tolist()
    np.testing.assert_array_equal(values, before)


def test_masked_values_are_nulls():
    values = np.ma.masked_array([3, 9, 1, 2], mask=[False, True, False, False])
    assert argsort(values).tolist() == [2, 3, 0, 1]
    assert argsort(values, na_position="first").tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([3.5, np.nan, -1.0, 3.5], index=[9, 9, 1, 0]),
        pd.Series([3, None, 1, 3], dtype="Int64"),
        pd.Series(["b", None, "a", "b"]),
        pd.Series(["b", None, "a", "b"], dtype=object),
        pd.Series(["low", None, "high", "low"]).astype(
            pd.CategoricalDtype(["high", "low"], ordered=True)
        ),
        pd.to_datetime(pd.Series(["2024", None, "2020", "2024"])).dt.tz_localize("UTC"),
        pd.Index([3, None, 1, 3]),
        pd.array([True, None, False, True], dtype="boolean"),
        pd.Series([3, None, 1, 3], dtype=pd.ArrowDtype(pa.int64())),
        Array(pa.array([3, None, 1, 3])),
        Stream(pa.chunked_array([[3, None], [1, 3]])),
        [3, None, 1, 3],
        (3.5, float("nan"), -1.0, 3.5),
        ["b", None, "a", "b"],
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_other_sequences(values):
    assert argsort(values).tolist() == [2, 0, 3, 1]
    assert argsort(values, ascending=False).tolist() == [0, 3, 2, 1]
    assert argsort(values, na_position="first").tolist() == [1, 2, 0, 3]
    assert argsort(values, ascending=False, na_position="first").tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("values", [[], (), np.empty(0), pa.array([], pa.string()), range(0)])
def test_no_values(values):
    got = argsort(values)
    assert got.dtype == np.int64
    assert got.shape == (0,)


def test_only_one_dimension():
    for values, found in ((np.zeros((2, 2)), 2), (np.zeros((0, 3)), 2), (np.array(1), 0)):
        with pytest.raises(KeyTypeError, match=f"expected one dimension, found {found}"):
            argsort(values)
    with pytest.raises(KeyTypeError, match="list"):
        argsort([[1], [2]])


@pytest.mark.parametrize(
    "values",
    [
        np.array([1j]),
        np.zeros(2, [("a", np.int64)]),
        np.array([1, "a"], dtype=object),
        np.array([object()]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pd.Series(pd.interval_range(0, 2)),
        5,
        None,
    ],
    ids=str,
)
def test_values_without_an_order_are_refused(values):
    with pytest.raises(KeyTypeError, match=r"^cannot sort "):
        argsort(values)


# ---------------------------------------------------------------- missing values and limits


LIMITS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5, 1e300, 5e-324]


@pytest.mark.parametrize("na_position", PLACES)
@pytest.mark.parametrize("ascending", BOTH)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_at_their_limits(kind, ascending, na_position, few_rows_take_every_path):
    rng = np.random.default_rng(11)
    with np.errstate(over="ignore"):
        limits = np.array(LIMITS).astype(kind)
    how = {"ascending": ascending, "na_position": na_position}
    for n, share in ((40, 1.0), (3_000, 1.0), (3_000, 0.05), (3_000, 0.0)):
        values = rng.normal(size=n).astype(kind)
        values = np.where(rng.random(n) < share, rng.choice(limits, n), values)
        # pandas has no float16.
        want = pd.Series(values.astype(np.float64)).sort_values(kind="stable", **how)
        for threads in (1, 2):
            assert argsort(values, threads=threads, **how).tolist() == want.index.tolist()
        assert not is_sorted(values, **how)
        assert is_sorted(values[want.index], **how)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_nan_counts_as_null(kind):
    whole = np.dtype(f"u{np.dtype(kind).itemsize}")
    infinity = np.array(np.inf, kind).view(whole)
    sign = whole.type(1) << whole.type(8 * whole.itemsize - 1)
    # The first NaN and the last, of either sign: quiet ones and signalling ones.
    nans = [infinity + whole.type(1), infinity | (sign - whole.type(1))]
    bits = [*nans, *(nan | sign for nan in nans), infinity, infinity | sign]
    values = np.array(bits, whole).view(kind)
    assert argsort(values).tolist() == [5, 4, 0, 1, 2, 3]
    assert argsort(values, ascending=False, na_position="first").tolist() == [0, 1, 2, 3, 4, 5]
    assert rank(values).tolist() == [2, 2, 2, 2, 1, 0]
    assert argsort([values, np.arange(6, 0, -1)]).tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("kind", ["int8", "int64", "uint64", "double", "string", "timestamp"])
def test_many_nulls(kind, share, few_rows_take_every_path):
    values = column(np.random.default_rng(12), kind, 2_000, nulls=share)
    for ascending, na_position in ((True, "first"), (False, "last"), (True, "last")):
        key = SortKey("k", not ascending, na_position == "first")
        want = oracle(pa.table({"k": values}), [key])
        how = {"ascending": ascending, "na_position": na_position}
        for threads in (1, 3):
            assert argsort(values, threads=threads, **how).tolist() == want


@pytest.mark.parametrize("na_position", PLACES)
@pytest.mark.parametrize("ascending", BOTH)
@pytest.mark.parametrize("unit", ["M8[Y]", "M8[W]", "M8[h]", "M8[as]", "m8", "m8[M]", ">m8[h]"])
def test_units_that_only_numpy_has(unit, ascending, na_position, few_rows_take_every_path):
    rng = np.random.default_rng(13)
    numbers = rng.integers(-(2**62), 2**62, 700) >> rng.integers(0, 60, 700)
    values = numbers.astype(np.dtype(unit))
    values[::7] = "NaT"
    values[:2] = np.array([2**63 - 1, -(2**63) + 1]).astype(values.dtype)
    integers = values.astype(values.dtype.newbyteorder("=")).view(np.int64)
    present = np.where(np.isnat(values), 0, integers if ascending else -integers)
    at_end = np.isnat(values) == (na_position == "last")
    want = np.lexsort((present, at_end)).tolist()
    how = {"ascending": ascending, "na_position": na_position}
    assert argsort(values, **how).tolist() == want
    assert argsort([values, np.zeros(700)], **how).tolist() == want
    assert is_sorted(values[want], **how)


# ---------------------------------------------------------------- several key columns


def three_keys(n: int = 80) -> pa.Table:
    rng = np.random.default_rng(14)
    return pa.table(
        {
            "day": column(rng, "int8", n, distinct=3),
            "price": column(rng, "double", n, distinct=4),
            "note": column(rng, "string", n, distinct=5),
        }
    )


def numpy_arrays(table: pa.Table) -> list[np.ndarray]:
    return [each.to_numpy() for each in table.columns]


SEVERAL: dict[str, Callable[[pa.Table], Any]] = {
    "list of NumPy arrays": numpy_arrays,
    "tuple of NumPy arrays": lambda table: tuple(numpy_arrays(table)),
    "Arrow arrays": lambda table: [each.combine_chunks() for each in table.columns],
    "chunked Arrow arrays": lambda table: chunked(table).columns,
    "pandas Series": lambda table: [each.to_pandas() for each in table.columns],
    "pandas Index": lambda table: [pd.Index(each.to_pandas()) for each in table.columns],
    "only the C stream": lambda table: [Stream(each) for each in table.columns],
    "only the C array": lambda table: [Array(each.combine_chunks()) for each in table.columns],
    "of each kind one": lambda table: (table[0], numpy_arrays(table)[1], Stream(table[2])),
    "pyarrow Table": lambda table: table,
    "chunked Table": chunked,
    "RecordBatch": lambda table: table.to_batches()[0],
    "pandas DataFrame": lambda table: table.to_pandas(),
    "DataFrame of Arrow columns": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "DataFrame with an index": lambda table: table.to_pandas().set_index(
        pd.Index(range(table.num_rows, 0, -1))
    ),
    "only the C stream of a table": Stream,
}

DIRECTIONS = [
    (True, "last"),
    (False, "first"),
    ([True, False, True], "last"),
    (np.array([False, True, False]), ("first", "last", "first")),
    (False, ["last", "first", "last"]),
]


def sort_keys(
    names: Sequence[str], ascending: bool | Sequence[bool], na_position: str | Sequence[str]
) -> list[SortKey]:
    n = len(names)
    up = [ascending] * n if isinstance(ascending, bool) else list(ascending)
    places = [na_position] * n if isinstance(na_position, str) else list(na_position)
    return [
        SortKey(name, not is_up, place == "first")
        for name, is_up, place in zip(names, up, places, strict=True)
    ]


@pytest.mark.parametrize(("ascending", "na_position"), DIRECTIONS)
@pytest.mark.parametrize("way", SEVERAL)
def test_several_key_columns(way, ascending, na_position):
    table = three_keys()
    keys = SEVERAL[way](table)
    want = oracle(table, sort_keys(table.column_names, ascending, na_position))
    how = {"ascending": ascending, "na_position": na_position}
    assert argsort(keys, **how).tolist() == want
    assert not is_sorted(keys, **how)
    assert is_sorted(table.take(want), **how)
    places = np.empty(len(want), np.int64)
    places[want] = np.arange(len(want))
    assert rank(keys, method="first", **how).tolist() == places.tolist()


def test_polars_series_and_frames():
    pl = pytest.importorskip("polars")
    assert argsort(pl.Series([3, None, 1, 3])).tolist() == [2, 0, 3, 1]
    table = three_keys()
    want = oracle(table, sort_keys(table.column_names, [False, True, True], "last"))
    frame = pl.from_arrow(table)
    assert argsort(frame.get_columns(), ascending=[False, True, True]).tolist() == want
    assert argsort(frame, ascending=[False, True, True]).tolist() == want


def test_a_list_with_one_array_is_one_key_column():
    assert argsort([np.array([3, 1, 2])]).tolist() == [1, 2, 0]
    assert argsort((pa.array(["b", "a"]),), ascending=[False]).tolist() == [0, 1]


def test_a_list_of_numpys_own_scalars_is_one_key_column():
    assert argsort([np.str_("b"), np.str_("a")]).tolist() == [1, 0]
    assert argsort([np.float32(2), np.float32(1)]).tolist() == [1, 0]


@pytest.mark.parametrize(
    "keys", [[np.empty(0), np.empty(0)], three_keys(0), pd.DataFrame({"a": [], "b": []})]
)
def test_several_columns_without_rows(keys):
    assert argsort(keys).shape == rank(keys).shape == (0,)
    assert is_sorted(keys)


def test_the_keys_are_left_as_they_were():
    table = three_keys()
    keys = numpy_arrays(table)
    before = [each.copy() for each in keys]
    argsort(keys, ascending=False)
    rank(keys)
    for each, old in zip(keys, before, strict=True):
        pd.testing.assert_series_equal(pd.Series(each), pd.Series(old))


def columns_of(data: st.DataObject, n: int, most: int = 4) -> tuple[pa.Table, list[SortKey]]:
    """Draw key columns of any types, and the direction and null place of each."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=most))
    distinct = data.draw(st.sampled_from([None, 1, 2, 6, 60]))
    nulls = data.draw(st.sampled_from([0.0, 0.2, 0.9]))
    table = pa.table(
        {
            f"k{i}": column(rng, kind, n, nulls=nulls, distinct=distinct)
            for i, kind in enumerate(kinds)
        }
    )
    names = table.column_names
    return table, [
        SortKey(n, data.draw(st.booleans()), data.draw(st.booleans())) for n in names
    ]


def assert_doors_agree(table: pa.Table, keys: list[SortKey], threads: Sequence[int]) -> None:
    """Compare every door with Python's own sort."""
    how = {
        "ascending": [not key.descending for key in keys],
        "na_position": ["first" if key.nulls_first else "last" for key in keys],
    }
    want = oracle(table, keys)
    again = same_as_before(table, want)
    firsts = [i for i, same in enumerate(again) if not same]
    number = np.cumsum(np.logical_not(again)) - 1
    places = {
        "first": np.arange(len(want)),
        "dense": number,
        "min": np.array(firsts, np.int64)[number],
    }
    for count in threads:
        order = argsort(table, threads=count, **how)
        assert order.dtype == np.int64
        assert order.tolist() == want
        for method, place in places.items():
            ranks = rank(table, method=method, threads=count, **how)
            assert ranks.dtype == np.int64
            assert ranks[want].tolist() == place.tolist()
    in_rows = np.empty(len(want), np.int64)
    in_rows[want] = places["min"]
    assert is_sorted(table, **how) == (np.diff(in_rows) >= 0).all()


@settings(max_examples=150)
@given(st.data())
def test_any_key_columns_sort_like_pythons_stable_sort(data):
    table, keys = columns_of(data, data.draw(st.integers(0, 60)))
    assert_doors_agree(table, keys, [1])


@settings(max_examples=50)
@given(data=st.data())
def test_any_key_columns_over_many_groups_blocks_and_threads(data):
    table, keys = columns_of(data, data.draw(st.integers(300, 1_500)), most=3)
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        assert_doors_agree(table, keys, [1, 3])


@pytest.mark.parametrize(
    "kind", ["int8", "int32", "int64", "float", "double", "bool", "string"]
)
def test_the_number_of_threads_changes_nothing(kind, few_rows_take_every_path):
    rng = np.random.default_rng(15)
    values = column(rng, kind, 500, nulls=0.1).take(rng.integers(0, 500, 6_000))
    for keys in (values, [values, np.arange(6_000) % 7]):
        want = argsort(keys, threads=1)
        for threads in (2, 5, None, np.int64(3)):
            assert (argsort(keys, threads=threads) == want).all()
            assert (rank(keys, threads=threads)[want] == rank(keys)[want]).all()


# ---------------------------------------------------------------- rank and is_sorted


@pytest.mark.parametrize("n", [1, 2, 5, 300, 40_000])
def test_ranks_are_what_numpy_and_pandas_find(n):
    rng = np.random.default_rng(n)
    for values in (rng.integers(0, n, n), rng.normal(size=n).round(1), np.zeros(n)):
        series = pd.Series(values)
        assert (rank(values) == np.searchsorted(np.sort(values), values)).all()
        for method in ("min", "dense", "first"):
            assert (rank(values, method=method) == series.rank(method=method) - 1).all()
            # pandas turns the order of equal values round with the direction.
            if method != "first":
                down = series.rank(method=method, ascending=False) - 1
                assert (rank(values, method=method, ascending=False) == down).all()


@pytest.mark.parametrize("method", ["min", "dense"])
@pytest.mark.parametrize(("na_position", "option"), [("first", "top"), ("last", "bottom")])
def test_missing_values_are_ranked_as_equals(na_position, option, method):
    values = pd.Series([2.0, None, 1.0, None, 2.0])
    want = values.rank(method=method, na_option=option) - 1
    assert (rank(values, method=method, na_position=na_position) == want).all()


@given(
    st.lists(st.one_of(st.none(), st.integers(-2, 2)), max_size=6), st.booleans(), st.booleans()
)
def test_is_sorted_is_a_comparison_of_neighbours(values, ascending, first):
    def place(value):
        if value is None:
            return (not first, 0)
        return (first, value if ascending else -value)

    places = [place(value) for value in values]
    how = {"ascending": ascending, "na_position": "first" if first else "last"}
    assert is_sorted(pa.array(values, pa.int64()), **how) == (places == sorted(places))


# ---------------------------------------------------------------- refusals


DOORS = [argsort, rank, is_sorted]


@pytest.mark.parametrize("door", DOORS)
def test_columns_of_different_lengths_are_refused(door):
    with pytest.raises(KeyTypeError, match=r"of different lengths: 2, 1,000 rows"):
        door([np.zeros(2), np.zeros(1000)])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "keys", [pa.table({}), pd.DataFrame(), pd.DataFrame(index=[3, 1, 2])], ids=type
)
def test_a_table_without_columns_is_refused(keys, door):
    with pytest.raises(KeyTypeError, match="a table without columns"):
        door(keys)


@pytest.mark.parametrize("door", DOORS)
def test_a_frame_that_arrow_cannot_hold_is_refused(door):
    with pytest.raises(KeyTypeError, match=r"^cannot sort "):
        door(pd.DataFrame({"a": [1, "x"]}))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"ascending": [True]}, "ascending has 1 entries for 2 key columns"),
        ({"ascending": []}, "ascending has 0 entries for 2 key columns"),
        ({"na_position": ["last"] * 3}, "na_position has 3 entries for 2 key columns"),
        ({"ascending": [True, 1]}, "ascending is 1; expected True or False"),
        ({"ascending": None}, "ascending is None; expected True or False"),
        ({"ascending": "up"}, "ascending is 'up'; expected True or False"),
        ({"na_position": ["first", None]}, "na_position is None; expected 'first' or 'last'"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(option, message, door):
    with pytest.raises(BadOptionError, match=message):
        door([np.zeros(3), np.zeros(3)], **option)


@pytest.mark.parametrize("door", [argsort, rank])
@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_an_impossible_number_of_threads_is_refused(threads, door):
    with pytest.raises(
        BadOptionError, match=f"threads is {threads!r}; expected a whole number"
    ):
        door([1], threads=threads)


@pytest.mark.parametrize("method", ["max", "", None, ["min"]])
def test_an_unknown_method_is_refused(method):
    with pytest.raises(BadOptionError, match="expected 'min', 'dense' or 'first'"):
        rank([1], method=method)


@pytest.mark.parametrize("word", ["middle", "", "First", None, True])
def test_an_unknown_na_position_is_refused(word):
    message = f"na_position is {word!r}; expected 'first' or 'last'"
    with pytest.raises(BadOptionError, match=message):
        argsort([1], na_position=word)

"""Partitions whose dtypes are not those of the frame's meta: sorted all the same.

What comes out has the declared dtype where that holds every value, else the one that pandas
gives all partitions together.
"""

from __future__ import annotations

import datetime as dt
import itertools
from contextlib import suppress
from unittest.mock import patch

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.errors import BadOptionError, KeyTypeError, SchemaMismatchError
from dlsort.frame_tasks import casts as pandas_casts

PARIS = "Europe/Paris"
local = data.run_locally("sync")
UNITS = ("s", "ms", "us", "ns")
FAMILIES = {
    "times": [
        *(f"datetime64[{unit}]" for unit in UNITS),
        *(f"datetime64[{unit}, UTC]" for unit in ("s", "ns")),
        *("datetime64[us, Europe/Paris]", "timestamp[ms][pyarrow]"),
    ],
    "spans": [*(f"timedelta64[{unit}]" for unit in UNITS), "duration[us][pyarrow]"],
    "whole": ["int8", "int64", "uint8", "Int8", "Int64", "int16[pyarrow]", "int64[pyarrow]"],
    "truth": ["bool", "boolean", "bool[pyarrow]"],
    "floating": ["float32", "float64", "Float64", "double[pyarrow]"],
    "text": ["str", "string", "object", "string[pyarrow]", "category"],
}
VALUES = {
    "times": ["1970-01-01", "2020-01-01 00:00:01", "2020-01-01 00:00:00.000000001", "2262"],
    "spans": [0, 10**9, -(10**9), 1, 10**12 + 1000],
    "whole": [0, 1, -1, 3, 127, 300, 2**53 + 1, -(2**62)],
    "truth": [True, False],
    "floating": [0.0, 1.5, -2.25, 0.1, 1e30],
    "text": ["", "a", "b", "zoë"],
}


def column(family, values, dtype):
    """Return a column; None where pandas has none of that dtype."""
    if family == "times":
        values = pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601")
        if ", " in dtype:
            values = values.dt.tz_localize("UTC")
    elif family == "spans":
        values = pd.to_timedelta(pd.Series(values, dtype=object), unit="ns")
    else:
        values = pd.Series(pd.array(values, dtype=object))
    try:
        return values.astype(dtype)
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException):
        return None


@st.composite
def frames(draw):
    """Draw a declared dtype, and columns of other dtypes."""
    family = draw(st.sampled_from(list(FAMILIES)))
    dtypes = st.sampled_from(FAMILIES[family])
    values = st.lists(st.one_of(st.none(), st.sampled_from(VALUES[family])), max_size=5)
    n_parts = draw(st.integers(1, 4))
    columns = [column(family, draw(values), draw(dtypes)) for _ in range(n_parts)]
    assume(all(each is not None for each in columns))
    # A column of categories that is declared by this name alone has none.
    return draw(dtypes.filter(lambda dtype: dtype != "category")), columns


def boxed(values):
    return [None if pd.isna(v) else v for v in values.astype(object)]


def cast(values, dtype):
    """Return what the declared dtype makes of a column, or None if it changes a value."""
    nulls = pd.Series([], dtype=dtype).reindex(values.index)
    if values.isna().all() and nulls.dtype == dtype:
        return nulls
    if isinstance(values.dtype, pd.CategoricalDtype) and dtype != "category":
        return None  # categories have an order
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            found = values.astype(dtype)
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException):
        return None
    return found if boxed(found) == boxed(values) else None


def expect(declared, columns):
    """Return all partitions together; None where pandas itself changes values."""
    columns = [each for each in columns if len(each)]
    found = [cast(each, declared) for each in columns]
    if not columns:
        return pd.Series([], dtype=declared)
    if all(each is not None for each in found):
        return pd.concat(found, ignore_index=True)
    try:
        whole = pd.concat(columns, ignore_index=True)
    except pd.errors.OutOfBoundsDatetime:
        return None
    same = boxed(whole) == [v for each in columns for v in boxed(each)]
    return whole if same and whole.dtype != object else None


def frame_of(declared, columns, *, as_index=False):
    starts = np.cumsum([0, *map(len, columns)])
    parts = [
        pd.DataFrame({"c": each, "row": np.arange(start, start + len(each))})
        for each, start in zip(columns, starts, strict=False)
    ]
    meta = pd.DataFrame({"c": pd.Series([], dtype=declared), "row": np.arange(0)})
    if as_index:
        parts, meta = [part.set_index("c") for part in parts], meta.set_index("c")
    label = f"meta-{next(_n_frames)}"
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(data.same, parts, meta=meta, label=label)


_n_frames = itertools.count()


def check(got, whole, order):
    got = pd.concat([part for part in got if len(part)] or got)
    assert got["row"].tolist() == order
    assert boxed(got["c"]) == [boxed(whole)[row] for row in order]
    return got


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(frames(), st.booleans(), st.sampled_from(["first", "last"]))
def test_no_difference_from_pandas(drawn, ascending, na_position):
    declared, columns = drawn
    whole = expect(declared, columns)
    ddf = frame_of(declared, columns)
    if whole is None:
        # What can't be one column is refused by name, or is Python objects.
        with suppress(KeyTypeError, SchemaMismatchError):
            local(dlsort.sort_values(ddf, "c", ascending=ascending, na_position=na_position))
        return
    options = {"ascending": ascending, "na_position": na_position}
    frame = pd.DataFrame({"c": whole})
    order = data.order_of(frame, ["c"], ascending, na_position)
    got = check(local(dlsort.sort_values(ddf, "c", **options)), whole, order)
    # Partitions that could be cast are of the declared dtype when pandas' rule joins them.
    cast_first = [f.dtype if (f := cast(c, declared)) is not None else c.dtype for c in columns]
    # Those without any value have no say.
    filled = [d for c, d in zip(columns, cast_first, strict=True) if c.notna().any()]
    say = [filled + [None] * (len(filled) < len(columns))] if filled else []
    common = map(pandas_casts.common_dtype, [cast_first, *say])
    assert got["c"].dtype in (whole.dtype, *common)
    n = len(whole)
    carried = local(dlsort.sort_values(ddf, "row", ascending=False))
    got = check(carried, whole, list(range(n))[::-1])
    with dask.config.set(scheduler="sync"):
        check([dlsort.sort_values(ddf, "c", **options).head(n, npartitions=-1)], whole, order)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(frames())
def test_the_index(drawn):
    declared, columns = drawn
    whole = expect(declared, columns)
    assume(whole is not None)
    assume(declared != "float16")
    assume(not isinstance(whole.dtype, pd.CategoricalDtype))
    order = data.order_of(pd.DataFrame({"c": whole}), ["c"], True, "last")
    with dask.config.set(scheduler="sync"):
        indexed = dlsort.set_index(frame_of(declared, columns), "c")
        divisions = indexed.divisions
        got = list(dask.compute(*indexed.to_delayed()))
    rows = [row for part in got for row in part["row"]]
    assert rows == order
    present = whole.dropna()
    if len(present):
        assert (divisions[0], divisions[-1]) == (present.min(), present.max())
        assert list(divisions) == sorted(divisions)


def stamps(*texts, unit="us", zone=None):
    found = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", utc=True)
    found = found.dt.tz_convert(zone) if zone else found.dt.tz_localize(None)
    return found.dt.as_unit(unit)


@pytest.fixture(scope="module", params=["threads", "cluster"])
def run(request):
    if request.param == "cluster":
        with data.two_workers():
            yield data.run_on_cluster
    else:
        yield data.run_locally(request.param)


@pytest.mark.parametrize(
    "columns",
    [
        [stamps("2021", None, "2019"), stamps("2020", unit="s")],
        [
            stamps("2021", "2019", zone=PARIS),
            stamps(None, "2020", zone=PARIS),
        ],
        [stamps("2021", "2019", zone="UTC"), stamps(None, "2020", zone=PARIS)],
    ],
)
@pytest.mark.parametrize("declared", ["datetime64[us]", "datetime64[s]", "datetime64[us, UTC]"])
def test_wherever_it_runs(run, declared, columns):
    whole = pd.concat(columns, ignore_index=True)
    for ascending in (True, False):
        expected = whole.sort_values(kind="stable", ascending=ascending)
        result = dlsort.sort_values(frame_of(declared, columns), "c", ascending=ascending)
        check(run(result), whole, expected.index.tolist())
    order = whole.sort_values(kind="stable").index.tolist()
    result = dlsort.set_index(frame_of(declared, columns), "c")
    assert [row for part in run(result) for row in part["row"]] == order
    assert result.divisions[0] == whole.min()
    result = dlsort.sort_index(frame_of(declared, columns, as_index=True))
    assert [row for part in run(result) for row in part["row"]] == order


@pytest.mark.parametrize("utc", [True, False])
@pytest.mark.parametrize("offset", ["", "+01:00"])
def test_to_datetime_of_dask(run, utc, offset):
    """Dask guesses the unit, and never the zone."""
    texts = [f"2020-01-0{day} 00:00:0{day}{offset}" for day in (3, 1, 2, 1)]
    ddf = dd.from_pandas(pd.DataFrame({"text": texts, "row": range(4)}), npartitions=2)
    ddf["c"] = dd.to_datetime(ddf["text"], utc=utc)
    ddf["n"] = dd.to_datetime(ddf["row"])  # of nanoseconds
    got = pd.concat(run(dlsort.sort_values(ddf, "c")))
    expected = pd.to_datetime(pd.Series(texts), utc=utc)
    assert got["row"].tolist() == [1, 3, 2, 0]
    assert got["c"].tolist() == expected.iloc[[1, 3, 2, 0]].tolist()
    got = pd.concat(run(dlsort.sort_values(ddf, "n", ascending=False)))
    assert got["row"].tolist() == [3, 2, 1, 0]
    assert got["n"].dtype == "datetime64[ns]"
    assert [value.value for value in got["n"]] == [3, 2, 1, 0]


def test_divisions_that_are_given_in_the_partitions_zone():
    columns = [stamps("2021", "2019", zone="UTC"), stamps("2020", None, zone="UTC")]
    divisions = [pd.Timestamp(year, tz="UTC") for year in ("2019", "2020", "2021")]
    result = dlsort.set_index(frame_of("datetime64[us]", columns), "c", divisions=divisions)
    assert [part["row"].tolist() for part in local(result)] == [[1], [2, 0, 3]]


def test_divisions_in_a_zone_that_the_partitions_do_not_have_are_refused():
    columns = [stamps("2021", "2019"), stamps("2020", None)]
    divisions = [pd.Timestamp(year, tz="UTC") for year in ("2019", "2021")]
    result = dlsort.set_index(frame_of("datetime64[us]", columns), "c", divisions=divisions)
    with pytest.raises(
        BadOptionError, match=r"expected values of the index, which is datetime"
    ):
        local(result)


def test_no_value_is_boxed():
    columns = [stamps("2021", None, "2019", unit="s"), stamps("2020", unit="ns")]
    with patch.object(pandas_casts, "_cast_boxed", side_effect=AssertionError):
        local(dlsort.sort_values(frame_of("datetime64[us]", columns), "c"))
        local(dlsort.sort_values(frame_of("datetime64[us]", columns), "row"))


def test_zones_of_one_column_that_differ_are_objects_as_in_pandas():
    columns = [stamps("2021", "2019", zone="UTC"), stamps("2020", None, zone="Asia/Tokyo")]
    got = check(
        local(dlsort.sort_values(frame_of("datetime64[us]", columns), "c")),
        pd.concat(columns, ignore_index=True),
        [1, 2, 0, 3],
    )
    assert got["c"].dtype == object


def test_with_and_without_a_zone_there_is_no_order():
    columns = [stamps("2021", "2019", zone="UTC"), stamps("2020")]
    ddf = frame_of("datetime64[us]", columns)
    with pytest.raises(KeyTypeError, match=r"'c': its partitions are datetime64\[us, UTC\] a"):
        local(dlsort.sort_values(ddf, "c"))
    (got,) = local(dlsort.sort_values(ddf, "row", npartitions=1))
    assert got["c"].tolist() == [value for each in columns for value in each]


def test_what_no_unit_holds_is_refused():
    columns = [stamps("9999", unit="s"), stamps("2020-01-01 00:00:00.000000001", unit="ns")]
    ddf = frame_of("datetime64[s]", columns)
    with pytest.raises(KeyTypeError, match=r"datetime64\[s\] and datetime64\[ns\]"):
        local(dlsort.sort_values(ddf, "c"))
    with pytest.raises(SchemaMismatchError, match=r"'c' are datetime64\[s\], datetime64\[ns\]"):
        local(dlsort.sort_values(ddf, "row", npartitions=1))


def test_large_numbers_with_nulls_are_not_rounded():
    columns = [pd.Series([2**60 + 1, None, 2**60], dtype="Int64"), pd.Series([5, 2**60 + 2])]
    for by, order in (("c", [3, 2, 0, 4, 1]), ("row", [0, 1, 2, 3, 4])):
        got = local(dlsort.sort_values(frame_of("int64", columns), by))
        got = check(got, pd.concat(columns, ignore_index=True), order)
        assert got["c"].dtype == "Int64"
    with dask.config.set(scheduler="sync"):
        first = dlsort.sort_values(frame_of("int64", columns), "c").head(5, npartitions=-1)
    assert first["c"].tolist()[:4] == [5, 2**60, 2**60 + 1, 2**60 + 2]


def test_objects_that_are_times():
    texts = [dt.datetime(2021, 1, 1), None, pd.Timestamp("2020-01-01 00:00:00.000000001")]
    columns = [pd.Series(texts, dtype=object)] * 2
    got = local(dlsort.sort_values(frame_of("datetime64[us]", columns), "c"))
    check(got, pd.concat(columns, ignore_index=True), [2, 5, 0, 3, 1, 4])


def categorical(values, categories, dtype=object):
    return pd.Series(pd.Categorical(values, pd.Index(categories, dtype=dtype)))


def test_categories_that_are_objects_here_and_strings_there():
    columns = [categorical(["b", "a"], ["b", "a"]), categorical(["a"], ["a", "b"], "str")]
    ddf = frame_of(columns[0].dtype, columns)
    got = pd.concat(local(dlsort.sort_values(ddf, "c")))
    assert got["row"].tolist() == [0, 1, 2]
    (got,) = local(dlsort.sort_values(ddf, "row", npartitions=1))
    assert got["c"].tolist() == ["b", "a", "a"]
    assert isinstance(got["c"].dtype, pd.CategoricalDtype)


def test_unknown_categories_that_are_none():
    columns = [pd.Series(["b", "c"]), pd.Series([None, "a"], dtype="str")]
    unknown = pd.CategoricalDtype([dd.utils.UNKNOWN_CATEGORIES])
    got = check(
        local(dlsort.sort_values(frame_of(unknown, columns), "c")),
        pd.concat(columns, ignore_index=True),
        [3, 0, 1, 2],
    )
    assert got["c"].dtype == "str"


@pytest.mark.parametrize("declared", ["str", "object"])
def test_categories_where_text_is_declared_keep_their_order(declared):
    columns = [categorical(["b", "a"], ["b", "a"], "str")] * 2
    ddf = frame_of(declared, columns)
    check(
        local(dlsort.sort_values(ddf, "c")),
        pd.concat(columns, ignore_index=True),
        [0, 2, 1, 3],
    )


def test_files_of_another_unit(tmp_path):
    """Some row groups do not tell that all values fit the declared unit."""
    n = 20_000
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 10**9, n)
    one = pd.DataFrame({"c": seconds.astype("M8[ms]"), "row": np.arange(n)})
    ticks = 1000 * seconds
    ticks[rng.random(n) < 0.001] += 1
    two = pd.DataFrame({"c": ticks.astype("M8[us]"), "row": np.arange(n, 2 * n)})
    for i, frame in enumerate([one, two]):
        frame.to_parquet(tmp_path / f"{i}.parquet", row_group_size=1000)
    ddf = dd.read_parquet(sorted(map(str, tmp_path.iterdir())))
    assert ddf["c"].dtype == "datetime64[ms]"
    whole = pd.concat([one, two], ignore_index=True)
    got = pd.concat(local(dlsort.sort_values(ddf, "c")))
    order = whole["c"].sort_values(kind="stable").index
    assert got["row"].tolist() == order.tolist()
    assert got["c"].tolist() == whole["c"][order].tolist()


KNOWN = pd.CategoricalDtype(["b", "a"])
UNKNOWN = pd.CategoricalDtype([dd.utils.UNKNOWN_CATEGORIES])
FILLED = {
    "str": pd.Series(["b", None, "a"], dtype="str"),
    "datetime64[us]": stamps("2021", None, "2019"),
    "datetime64[us, UTC]": stamps("2021", None, "2019", zone="UTC"),
    "timedelta64[ns]": pd.Series(pd.to_timedelta([2, None, 1], unit="ns")),
    "bool": pd.Series([True, False, True]),
    "int8": pd.Series([3, 1, 2], dtype="int8"),
    "date32[pyarrow]": pd.Series(
        [dt.date(2021, 1, 1), None, dt.date(2019, 1, 1)], dtype="date32[pyarrow]"
    ),
    "known": categorical(["b", None, "a"], ["b", "a"], "str").astype(KNOWN),
    "ordered": pd.Series(["b", None, "a"], dtype=pd.CategoricalDtype(["b", "a"], ordered=True)),
    "unknown": categorical(["b", None, "a"], ["b", "a"], "str"),
}
WITHOUT_VALUES = {
    "float64": pd.Series([np.nan] * 2),
    "object": pd.Series([None] * 2, dtype=object),
    "datetime64[ns, UTC]": pd.Series([pd.NaT] * 2, dtype="datetime64[ns, UTC]"),
    "category": pd.Series([None] * 2, dtype=pd.CategoricalDtype([1.5])),
}


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        (name, empty)
        for name, empty in itertools.product(FILLED, WITHOUT_VALUES)
        # Categories that differ are another matter.
        if not (empty == "category" and name in {"known", "ordered", "unknown"})
    ],
)
def test_a_partition_without_any_value_is_of_every_dtype(name, empty):
    filled = FILLED[name]
    declared = UNKNOWN if name == "unknown" else filled.dtype
    columns = [WITHOUT_VALUES[empty], filled, WITHOUT_VALUES[empty]]
    whole = pd.Series([None, None, *filled.astype(object), None, None], dtype=object)
    known = filled.astype("Int8" if name == "int8" else filled.dtype)
    order = known.reindex(range(-2, 5)).sort_values(kind="stable", na_position="first").index
    order = [int(row) + 2 for row in order]
    ddf = frame_of(declared, columns)
    check(local(dlsort.sort_values(ddf, "c", na_position="first")), whole, order)
    with dask.config.set(scheduler="sync"):
        first = dlsort.sort_values(ddf, "c", na_position="first").head(7, npartitions=-1)
        check([first], whole, order)
        check([dlsort.sort_values(ddf, "row").head(7, npartitions=-1)], whole, list(range(7)))
        indexed = dask.compute(*dlsort.set_index(ddf, "c").to_delayed())
    n_filled = int(filled.notna().sum())
    assert [row for part in indexed for row in part["row"]][:n_filled] == order[-n_filled:]
    (got,) = local(dlsort.sort_values(ddf, "row", npartitions=1))
    check([got], whole, list(range(7)))
    if name not in {"bool", "int8"}:
        assert got["c"].dtype == filled.dtype


@pytest.mark.parametrize("name", FILLED)
def test_no_partition_has_a_value(name):
    declared = UNKNOWN if name == "unknown" else FILLED[name].dtype
    ddf = frame_of(declared, list(WITHOUT_VALUES.values())[:3])
    for by in ("c", "row"):
        got = pd.concat(local(dlsort.sort_values(ddf, by)))
        assert got["row"].tolist() == list(range(6))
        assert got["c"].isna().all()
        with dask.config.set(scheduler="sync"):
            first = dlsort.sort_values(ddf, by).head(8, npartitions=-1)
        assert first["row"].tolist() == list(range(6))


@pytest.mark.parametrize("declared", ["datetime64[us]", "str", "int8"])
def test_no_value_has_no_say_in_the_dtype_of_all(declared):
    found = {
        "datetime64[us]": stamps("2021", "2019", zone="UTC"),
        "str": categorical(["b", "a"], ["b", "a"], "str"),
        "int8": pd.Series([300, 200]),
    }[declared]
    ddf = frame_of(declared, [pd.Series([None] * 2, dtype=object), found])
    for by, order in (("c", [3, 2, 0, 1]), ("row", [0, 1, 2, 3])):
        by_value = {"str": [2, 3, 0, 1]}.get(declared, order) if by == "c" else order
        (got,) = local(dlsort.sort_values(ddf, by, npartitions=1))
        whole = pd.Series([None, None, *found], dtype=object)
        got = check([got], whole, by_value)
        assert got["c"].dtype == ("Int64" if declared == "int8" else found.dtype)


def test_files_of_which_one_has_an_empty_column(tmp_path):
    (tmp_path / "0.csv").write_text("note,row\nb,0\na,1\n")
    (tmp_path / "1.csv").write_text("note,row\n,2\n,3\n")
    ddf = dd.read_csv(str(tmp_path / "*.csv"))
    for by, order in (("note", [1, 0, 2, 3]), ("row", [0, 1, 2, 3])):
        got = pd.concat(local(dlsort.sort_values(ddf, by)))
        assert got["row"].tolist() == order
        assert got["note"].dtype == ddf["note"].dtype


def test_what_compares_equal_is_cast():
    """README and docstring say so."""
    for declared, found in (("bool", [1, 0]), ("int64", [True, False]), ("int64", [-0.0, 1.0])):
        (got,) = local(dlsort.sort_values(frame_of(declared, [pd.Series(found)]), "row"))
        assert got["c"].dtype == declared
        assert got["c"].tolist() == found


def test_an_output_partition_without_rows_of_categories_that_are_objects():
    columns = [categorical(["a"], ["a"], "str"), pd.Series([], dtype="str")]
    got = local(dlsort.sort_values(frame_of("object", columns), "row", npartitions=2))
    assert [part["c"].tolist() for part in got] in ([["a"], []], [[], ["a"]])

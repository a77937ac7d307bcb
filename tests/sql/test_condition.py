"""Conditions in SQL, against DuckDB; and what is wrong with them."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.arrow.evaluate import is_true
from dlsort.errors import BadOptionError, UnknownColumnError
from dlsort.sql.condition import read_condition

N = 300
FIRST = dt.date(1998, 1, 1)


def made() -> pa.Table:
    rng = np.random.default_rng(1)

    def some(values: list[object]) -> list[object]:
        return [None if r < 0.15 else v for v, r in zip(values, rng.random(N), strict=True)]

    small, texts = rng.integers(-5, 5, N), ["a", "B", "ab", "Ab%", "é_x", " c "]
    days = [FIRST + dt.timedelta(int(x)) for x in rng.integers(0, 400, N)]
    hours = [
        dt.datetime(1998, 1, 1) + dt.timedelta(hours=int(x)) for x in rng.integers(0, 4000, N)
    ]
    return pa.table(
        {
            "id": np.arange(N),
            "i": pa.array(some(small.tolist()), pa.int64()),
            "j": pa.array(some(small[::-1].tolist()), pa.int32()),
            "f": pa.array(some((rng.integers(-5, 5, N) / 4).tolist()), pa.float64()),
            "g": pa.array(some((rng.integers(-5, 5, N) / 4).tolist()), pa.float32()),
            "m": pa.array(
                some([Decimal(int(x)) / 4 for x in rng.integers(-5, 15, N)]),
                pa.decimal128(15, 2),
            ),
            "s": pa.array(some(rng.choice(texts, N).tolist()), pa.string()),
            "z": pa.array(some(rng.choice(texts[:3], N).tolist())).dictionary_encode(),
            "b": pa.array(some([bool(x) for x in rng.integers(0, 2, N)]), pa.bool_()),
            "d": pa.array(some(days), pa.date32()),
            "ts": pa.array(some(hours), pa.timestamp("us")),
            "event": pa.array(some([{"ts": int(x), "n": "q"} for x in rng.integers(0, 9, N)])),
        }
    )


TABLE = made()

SAME = """
i > 2; i = j; not (i > 2); not (i = j or f < 0); i in (1, 2); i not in (1, 2); i in (1, null)
i not in (1, null); i between -1 and 2; not i between j and 2; i is null; i is not null
s is null or i > 0; f > 0.25; g = 0.25; g > 0.3; m = 0.25; m > 1; m between 0.5 and 1.75; m > i
m > f; i > 1.5; i = 1.0; i <> 1.5; i > 99999999999; j < 99999999999; i * j > 4; i + 1 > j - 1
i / 2 > 1; i % 2 = 1; i % 3 = -1; i % nullif(j, 0) = 1; m * 2 > 1; f / 2 > 0.5; -i > 2; s = 'a'
s like 'a%'; s like '_b%'; s not like 'a%'; s not ilike 'a%'; s ilike 'AB%'; z = 'B'
z in ('a', 'B'); z < 'a'; lower(s) = 'ab'; upper(z) = 'AB'; length(s) > 1; abs(i) > 3
abs(m) > 1.5; coalesce(i, j, 0) > 1; coalesce(s, 'x') = 'x'; b; not b; b = true; b and i > 0
b is true; b is not true; b is false; (i > 2) = b; d >= date '1998-03-01'; d >= '1998-03-01'
'1998-03-01' <= d; d between '1998-03-01' and '1998-06-01'
d <= date '1998-12-01' - interval '90' day; d < date '1998-03-31' - interval 1 month
ts > timestamp '1998-02-01 12:00:00'; ts > '1998-02-01'; ts < date '1998-02-01'; d < ts; ts >= d
extract(year from d) = 1999; extract(month from ts) = 2; year(d) = 1998; month(d) in (1, 2)
extract(dow from d) = 0; hour(ts) = 3; date_trunc('month', d) = date '1998-02-01'
date_trunc('week', d) = date '1998-02-02'
date_trunc('day', ts) = timestamp '1998-02-01 00:00:00'
cast(i as varchar) = '1'; cast(ts as date) = '1998-02-01'; cast('1' as bigint) = i
i::double > 1.5; cast(m as decimal(10, 1)) = 0.5; event.ts > 4; event.ts is null; event.n = 'q'
i in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11); true; false; null; 1 = 1
i not in (-5, -4, -3, -2, -1, 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, null)
i not in (-5, -4, -3, -2, -1, 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13); i = null; not (i = null)
nullif(i, 1) = 2; trim(s) = 'c'; s || 'x' = 'ax'; substring(s, 1, 1) = 'a'; floor(f) = -1
ceil(f) = 1; d + interval '3' day > date '1998-06-01'; ts + interval '5' hour > '1998-05-01'
d - date '1998-01-01' > 30; I > 2; "i" > 2; starts_with(s, 'a'); m = 0.3; m in (0.25, 1, 2.5)
i = '1'; i > j and j > f or b and not s = 'a'
"""
EACH = [text.strip() for text in SAME.replace("\n", ";").split(";") if text.strip()]


def kept(where: str) -> list[int]:
    """Return the rows that a condition keeps, of which all columns but those go unread."""
    expression, columns = pickle.loads(pickle.dumps(read_condition(where, TABLE.schema)))
    found = is_true(expression, TABLE.select([*columns, *(["id"] if not columns else [])]))
    return np.flatnonzero(found).tolist()


def duckdbs(where: str) -> list[int]:
    with duckdb.connect() as connection:
        connection.register("t", TABLE)
        rows = connection.sql(f"select id from t where {where} order by id").fetchall()
    return [row for (row,) in rows]


@pytest.mark.parametrize("where", EACH)
def test_rows_are_those_that_duckdb_keeps(where):
    assert kept(where) == duckdbs(where)


@given(st.data())
def test_conditions_put_together_keep_what_duckdb_keeps(data):
    def some(depth: int) -> str:
        if not depth:
            return f"({data.draw(st.sampled_from(EACH))})"
        forms = ["{} and {}", "{} or {}", "not {}", "coalesce({}, {})"]
        how = data.draw(st.sampled_from(forms))
        return f"({how.format(some(depth - 1), some(depth - 1))})"

    where = some(data.draw(st.integers(1, 2)))
    assert kept(where) == duckdbs(where)


def test_nan_equals_nothing_and_is_no_null():
    table = pa.table(
        {"x": pa.array([1.0, float("nan"), None], pa.float64(), from_pandas=False)}
    )

    def rows(where: str) -> list[bool]:
        return is_true(read_condition(where, table.schema).expression, table).tolist()

    assert rows("x = x") == [True, False, False]
    assert rows("x <> 1") == [False, True, False]
    assert rows("not x <= 5") == [False, True, False]
    assert rows("x is null") == [False, False, True]


@pytest.mark.parametrize(
    ("where", "error", "told"),
    [
        ("sdate > 1", UnknownColumnError, "names 'sdate', which is no column. Did you mean"),
        ("events.ts = 1", UnknownColumnError, "Did you mean 'event'"),
        ("lowr(s) = 'a'", BadOptionError, "no function 'lowr' here. Did you mean 'lower'"),
        ("i >", BadOptionError, "can't be read near '>'; expected a condition"),
        ("i", BadOptionError, "i is a number; expected a condition"),
        ("s > 1", BadOptionError, "text does not compare with a number"),
        ("d > 'abc'", BadOptionError, "'abc' is no value of type date32"),
        ("i in (select 1)", BadOptionError, "is not known here, for its query"),
        ("extract(yr from d) = 1", BadOptionError, "no 'yr'. Did you mean 'year'"),
        ("date_trunc('mnth', d) = d", BadOptionError, "Did you mean 'month'"),
        ("ts + interval '1' month > ts", BadOptionError, "months can't be added"),
        ("s like z", BadOptionError, "LIKE compares text with a pattern in quotes"),
        ("s like 'a!%' escape '!'", BadOptionError, "is not known here"),
        ("trim(leading 'a' from s) = 'x'", BadOptionError, "for its position"),
        ("cast(i as foo) = 1", BadOptionError, "is not known here; types are boolean"),
        ("i = interval '1' day", BadOptionError, "stands alone"),
        ("1 = 1; drop table x", BadOptionError, "can't be read near 'drop'"),
        ("case when b then b end", BadOptionError, "is not known here"),
    ],
)
def test_what_is_wrong_is_told(where, error, told):
    schema = TABLE.schema.append(pa.field("sdates", pa.date32()))
    with pytest.raises(error) as caught:
        read_condition(where, schema)
    assert told in str(caught.value)
    assert str(caught.value).startswith("where (--where) ")

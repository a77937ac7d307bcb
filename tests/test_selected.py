"""Sorts of some rows and columns of a dataset, against pandas and the files themselves."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlsort
from commands import dlsort as command
from dlsort.arrow.evaluate import is_true
from dlsort.errors import ResumeError
from dlsort.io.parquet import reader as reader_module
from dlsort.io.parquet.pruning import may_be_kept
from dlsort.io.parquet.source import open_source
from dlsort.publish.staging import Staging
from dlsort.tuning import TUNING
from dlsort_cluster.exchange import ExchangeError
from ordered_sources import MAKERS, rows_of, write
from patience import PATIENCE_S

# Parts of 64 KiB.
SMALL_PARTS = replace(TUNING, budget=replace(TUNING.budget, partition_bytes=2**16))


def made(n: int = 600, n_files: int = 3) -> list[pa.Table]:
    rng = np.random.default_rng(7)
    names = [None, "Ada", "ada", "Bob", "bob", "Émile", "émile", "eve"]
    return [
        pa.table(
            {
                "id": np.arange(n) + n * file,
                "name": pa.array(rng.choice(np.array(names, object), n), pa.string()),
                "price": pa.array(
                    [None if v < 0.1 else np.nan if v < 0.2 else v for v in rng.random(n)],
                    pa.float64(),
                    from_pandas=False,
                ),
                "day": pa.array(rng.integers(0, 900, n), pa.int32()).cast(pa.date32()),
                "note": pa.array([f"note {v}" for v in rng.integers(0, 9**9, n)]),
            }
        )
        for file in range(n_files)
    ]


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "in", made())


@pytest.mark.parametrize("how", [{"threads": 1}, {"threads": 2}, {"workers": 2}])
def test_a_key_that_is_computed_sorts_and_is_not_written(source, tmp_path, how):
    by = "lower(name):desc,id"
    report = dlsort.sort_dataset(source, tmp_path / "out", by=by, partitions=3, **how)
    rows, found = rows_of(source).to_pandas(), rows_of(tmp_path / "out")
    expected = rows.assign(key=rows["name"].str.lower()).sort_values(
        ["key", "id"], ascending=[False, True], kind="stable"
    )
    assert found.column_names == list(rows)
    assert found["id"].to_pylist() == expected["id"].tolist()
    assert report.proved
    assert dlsort.check_dataset(tmp_path / "out", by="note", against=source).checksum


def test_a_key_that_is_computed_is_claimed_nowhere(source, tmp_path):
    by = "day,lower(name),id"
    dlsort.sort_dataset(source, tmp_path / "out", by=by, partitions=2, threads=1)
    for part in (tmp_path / "out").glob("*.parquet"):
        (claim,) = pq.read_metadata(part).row_group(0).sorting_columns
        assert claim.column_index == 3
    report = dlsort.check_dataset(tmp_path / "out")
    assert (report.ok, report.by) == (True, by)


# ---------------------------------------------------------------- columns and their names


def test_a_result_has_the_chosen_columns_and_the_key_need_not_be_one(source, tmp_path):
    report = dlsort.sort_dataset(
        source,
        tmp_path / "out",
        by="day,id:desc",
        columns=["note", "id"],
        rename={"id": "number"},
        partitions=3,
        threads=2,
    )
    found, rows = rows_of(tmp_path / "out"), rows_of(source).to_pandas()
    expected = rows.sort_values(["day", "id"], ascending=[True, False], kind="stable")
    assert found.column_names == ["note", "number"]
    assert found["number"].to_pylist() == expected["id"].tolist()
    assert found["note"].to_pylist() == expected["note"].tolist()
    assert report.by == "day,id:desc"
    part = pq.read_metadata(next((tmp_path / "out").glob("*.parquet")))
    assert not part.row_group(0).sorting_columns  # it has not got the first key column
    wanted = {"columns": "note,id", "rename": "id=number", "against": source}
    assert dlsort.check_dataset(tmp_path / "out", by="number", **wanted).checksum
    assert dlsort.check_dataset(tmp_path / "out", by="number", against=source).differences


def test_a_key_column_that_is_renamed_is_told_by_its_new_name(source, tmp_path):
    names = {"day": "id", "id": "day"}  # each other's
    how = {"by": "day,id", "rename": names, "partitions": 2, "threads": 1}
    dlsort.sort_dataset(source, tmp_path / "out", **how)
    report = dlsort.check_dataset(tmp_path / "out", against=source, rename="day=id,id=day")
    assert (report.ok, report.by) == (True, "id,day")


def test_a_field_of_a_struct_is_a_key_whatever_its_column_is_called(tmp_path):
    events = pa.array([{"ts": v, "n": str(v)} for v in (3, 1, 2)])
    source = write(tmp_path / "in", [pa.table({"event": events, "event.x": [1, 2, 3]})])
    how = {"by": "event.ts", "threads": 1}
    dlsort.sort_dataset(source, tmp_path / "a", rename="event=e", **how)
    dlsort.sort_dataset(source, tmp_path / "b", columns='"event.x"', **how)
    assert [e["ts"] for e in rows_of(tmp_path / "a")["e"].to_pylist()] == [1, 2, 3]
    assert rows_of(tmp_path / "b").to_pydict() == {"event.x": [2, 3, 1]}


@pytest.mark.parametrize("how", [{"rename": {"b": "c"}}, {"where": "b > 0"}, {"by": "abs(b)"}])
def test_a_column_without_a_name_is_read(tmp_path, how):
    table = pa.table({"": pa.array(["x", "y"]).dictionary_encode(), "b": [2, 1]})
    pq.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    dlsort.sort_dataset(tmp_path / "in.parquet", out, **{"by": "b", **how})
    assert pq.read_table(out)[""].to_pylist() == ["y", "x"]


def test_pandas_reads_an_index_that_was_renamed(tmp_path):
    frame = made(n_files=1)[0].to_pandas().set_index("name")
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in" / "0.parquet")
    dlsort.sort_dataset(
        tmp_path / "in",
        tmp_path / "out",
        by="id:desc",
        columns="name,price",
        rename="name=who",
        threads=1,
    )
    found = pq.read_table(tmp_path / "out").to_pandas()
    expected = frame.sort_values("id", ascending=False)
    assert (found.index.name, list(found)) == ("who", ["price"])
    assert found.index.tolist() == expected.index.tolist()


@pytest.mark.parametrize("strategy", ["move", "range", "exchange"])
def test_columns_can_be_chosen_in_each_way(tmp_path, strategy):
    days = [pa.table({"k": 100 * day + np.arange(99), "v": [day] * 99}) for day in (1, 0, 2)]
    source = write(tmp_path / "in", days)
    for number, columns in enumerate(("v", "v,k")):
        report = dlsort.sort_dataset(
            source,
            tmp_path / f"out-{number}",
            by="k",
            columns=columns,
            rename="v=w",
            partitions=3,
            threads=1,
            strategy=strategy,
        )
        assert report.predicted["strategy"] == strategy
        assert rows_of(tmp_path / f"out-{number}")["w"].to_pylist() == sorted([0, 1, 2] * 99)


# ---------------------------------------------------------------- rows

WHERE = "id between 300 and 1500 and (name is null or lower(name) <> 'bob') and not price > 0.7"


def expected_rows(source: Path) -> list[int]:
    rows = rows_of(source).to_pandas()
    price = rows_of(source)["price"]
    is_kept = rows["id"].between(300, 1500) & (rows["name"].str.lower() != "bob")
    is_kept &= np.array([v is not None and not v > 0.7 for v in price.to_pylist()])
    return rows[is_kept].sort_values(["day", "id"], kind="stable")["id"].tolist()


@pytest.mark.parametrize(
    "how",
    [
        {"threads": 1},
        {"threads": 2, "partitions": 4},
        {"workers": 2, "partitions": 4},
        {"threads": 1, "strategy": "move", "partitions": 2},
        {"threads": 1, "strategy": "range", "partitions": 2},
        {"threads": 2, "partitions": 7, "memory": "1GiB", "input_size": 4096},
    ],
    ids=str,
)
def test_rows_are_those_for_which_a_condition_is_true(source, tmp_path, how):
    expected = expected_rows(source)
    report = dlsort.sort_dataset(source, tmp_path / "out", by="day,id", where=WHERE, **how)
    assert rows_of(tmp_path / "out")["id"].to_pylist() == expected
    assert report.rows == len(expected) < report.rows_read < 1800
    assert report.passed_row_groups == 11  # of 36, those of ids that are too low or too high
    if "partitions" in how:
        assert report.output_parts == how["partitions"]
        assert min(report.part_rows) > 0.3 * max(report.part_rows)
    assert "11 row groups not read" in " ".join(report.to_text().split())
    found = dlsort.check_dataset(tmp_path / "out", against=source, where=WHERE)
    assert (found.ok, found.rows) == (True, len(expected))
    other = dlsort.check_dataset(tmp_path / "out", against=source, where="id > 300")
    assert "not the same rows" in other.to_text()


def test_an_expression_of_arrows_is_a_condition(source, tmp_path):
    where = (pc.field("id") >= 1700) & pc.field("name").isin(["ada", "eve"])
    report = dlsort.sort_dataset(source, tmp_path / "out", by="id:desc", where=where, threads=1)
    rows = rows_of(source).to_pandas()
    expected = rows[(rows["id"] >= 1700) & rows["name"].isin(["ada", "eve"])]
    assert rows_of(tmp_path / "out")["id"].to_pylist() == expected["id"].tolist()[::-1]
    assert report.passed_row_groups == 34


@pytest.mark.parametrize("where", ["id < 0", "note = 'note 5x'", "id = null"])
@pytest.mark.parametrize("partitions", [None, 3])
def test_no_row_may_be_left(source, tmp_path, where, partitions):
    how = {"by": "day", "where": where, "partitions": partitions, "threads": 1}
    report = dlsort.sort_dataset(source, tmp_path / "out", **how)
    assert report.rows == 0
    assert rows_of(tmp_path / "out").schema.names == rows_of(source).schema.names


def test_what_statistics_rule_out_is_not_opened_and_columns_wait_for_the_condition(
    tmp_path, monkeypatch
):
    source = write(tmp_path / "in", made(), row_group_size=600)
    read: list[tuple[str, tuple[str, ...], int]] = []
    read_file = reader_module._read

    def watched(file, data, columns, *more):
        read.append((Path(file.path).name, tuple(columns), file.n_rows))
        return read_file(file, data, columns, *more)

    monkeypatch.setattr(reader_module, "_read", watched)
    how = {"by": "day", "threads": 1, "partitions": 1}
    dlsort.sort_dataset(source, tmp_path / "a", where="id between 650 and 700", **how)
    assert {name for name, _, _ in read} == {"in-1.parquet"}
    read.clear()
    dlsort.sort_dataset(source, tmp_path / "b", where="note = 'note 5x'", **how)
    assert {columns for _, columns, n_rows in read if n_rows} == {("note",)}


def test_a_filter_that_keeps_little_makes_no_more_parts_than_that_takes(tmp_path):
    rng = np.random.default_rng(3)
    table = pa.table({"k": rng.integers(0, 1000, 60_000), "v": rng.random(60_000)})
    source = write(tmp_path / "in", [table], row_group_size=6_000)
    how = {"by": "v", "threads": 2, "_tuning": SMALL_PARTS}
    plain = dlsort.sort_dataset(source, tmp_path / "a", **how)
    few = dlsort.sort_dataset(source, tmp_path / "b", where="k < 10", **how)
    assert (plain.output_parts, few.output_parts) == (16, 1)
    assert few.predicted["balance"] == 1.0


def test_folders_tell_what_is_not_read(tmp_path):
    for day in ("2024-01-01", "2024-01-02", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / "in" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"v": [3, 1, 2]}), folder / "x.parquet")
    how = {"by": "v,day", "threads": 1, "hive_types": "day:date32"}
    report = dlsort.sort_dataset(
        tmp_path / "in", tmp_path / "out", where="day > '2024-01-01'", columns="v", **how
    )
    assert (report.passed_row_groups, report.rows) == (2, 3)
    assert rows_of(tmp_path / "out").to_pydict() == {"v": [1, 2, 3]}


def test_a_store_is_filtered_too(source):
    store, url = fsspec.filesystem("memory"), f"memory://{uuid.uuid4().hex}"
    for path in source.iterdir():
        store.pipe_file(f"{url}/in/{path.name}", path.read_bytes())
    try:
        how = {"by": "day,id", "where": WHERE, "threads": 2}
        dlsort.sort_dataset(f"{url}/in", f"{url}/out", **how)
        names = sorted(name for name in store.find(f"{url}/out") if name.endswith(".parquet"))
        tables = [pq.read_table(pa.BufferReader(store.cat_file(name))) for name in names]
    finally:
        store.rm(url, recursive=True)
    assert pa.concat_tables(tables)["id"].to_pylist() == expected_rows(source)


@given(data=st.data())
def test_row_groups_that_are_passed_over_have_no_row_to_keep(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(sorted(MAKERS)))
    values = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=40))
    nulls = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    array = MAKERS[kind](np.array(values))
    array = pc.if_else(pa.array(nulls), pa.scalar(None, array.type), array)
    low, high = (MAKERS[kind](np.array([data.draw(st.integers(0, 40))]))[0] for _ in "ab")
    x = pc.field("x")
    made_of = {
        "=": x == low,
        "<": x < low,
        ">=": x >= low,
        "between": (x >= low) & (x <= high),
        "not": ~(x < low),
        "or": (x < low) | (x > high),
        "not null": x.is_valid(),
        "null": x.is_null(),
        "in": pc.is_in(x, pa.array([low, high])),
    }
    where = made_of[data.draw(st.sampled_from(sorted(made_of)))]
    folder = tmp_path_factory.mktemp("x")
    table = pa.table({"x": array})
    pq.write_table(table, folder / "x.parquet", row_group_size=5, store_decimal_as_integer=True)
    source = open_source(folder, TUNING.io)
    is_read = may_be_kept(source, where, ["x"])
    is_kept = is_true(where, table)
    for g, one in enumerate(is_read):
        assert one or not is_kept[5 * g : 5 * g + 5].any()


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": "nme"}, "there is no column 'nme'. Did you mean 'name'?"),
        ({"columns": "id,id"}, "columns is 'id,id', which names a column twice; name it once."),
        ({"columns": []}, "columns is []; expected names such as"),
        ({"columns": "id,,day"}, "columns is 'id,,day'; expected names such as"),
        ({"rename": "id=day"}, "by rename (--rename) the result would have two columns 'day'"),
        ({"rename": "id"}, "rename is 'id'; expected pairs such as 'old=new'"),
        ({"rename": {"x": "y"}}, "there is no column 'x'"),
        ({"rename": "id=x", "columns": "day"}, "names 'id', which is not among columns"),
        ({"where": "idd > 3"}, "names 'idd', which is no column. Did you mean 'id'?"),
        ({"where": 3}, "where is 3; expected a condition such as"),
        ({"where": pc.field("x") > 3}, "which the source has no value for: No match for"),
        ({"where": pc.field("id") + 3}, "of type int64; expected a condition"),
        ({"where": pc.field(0) > 3}, "which gives a column's number; expected names"),
        ({"where": "9223372036854775807 + id > 3"}, "has no result for some rows: overflow"),
        ({"by": "price,nme", "where": "id > 3"}, "there is no column 'nme'"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(source, tmp_path, options, told):
    with pytest.raises(dlsort.DlsortError) as caught:
        dlsort.sort_dataset(source, tmp_path / "out", **{"by": "day", "threads": 1, **options})
    assert told in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "other", [{"where": "id > 6"}, {"columns": "id"}, {"rename": "id=nr"}, {}]
)
def test_another_choice_does_not_resume_a_sort(source, tmp_path, monkeypatch, other):
    how = {"by": "day", "threads": 1, "partitions": 2, "resume": True}

    def fail(*_) -> None:
        raise ExchangeError("the scheduler went away.")

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "prove", fail)
        with pytest.raises(ExchangeError):
            dlsort.sort_dataset(
                source, tmp_path / "out", where="id > 5", columns="day,id", **how
            )
    chosen = {"where": "id > 5", "columns": "day,id", **other}
    if other:
        (name,) = other
        with pytest.raises(ResumeError, match=rf"^{name} \(--{name}\) is "):
            dlsort.sort_dataset(source, tmp_path / "out", **chosen, **how)
    else:
        report = dlsort.sort_dataset(source, tmp_path / "out", **chosen, **how)
        assert (report.resumed_parts, report.rows) == (2, 1794)


def test_parts_without_their_key_are_verified_when_a_sort_is_resumed(
    source, tmp_path, monkeypatch
):
    how = {"by": "day", "columns": "id", "threads": 1, "partitions": 2, "resume": True}

    def fail(*_) -> None:
        raise ExchangeError("the scheduler went away.")

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "prove", fail)
        with pytest.raises(ExchangeError):
            dlsort.sort_dataset(source, tmp_path / "out", **how)
    report = dlsort.sort_dataset(source, tmp_path / "out", **how)
    rows = rows_of(source).to_pandas().sort_values("day", kind="stable")
    assert report.resumed_parts == 2
    assert rows_of(tmp_path / "out")["id"].to_pylist() == rows["id"].tolist()


def test_the_command_chooses_as_python_does(source, tmp_path):
    options = ["--by", "day,id", "--where", WHERE, "--columns", "id,note", "--rename", "note=n"]
    done = command("sort", str(source), str(tmp_path / "out"), *options, "--threads", "1")
    assert done.exit_code == 0, done.stderr
    assert rows_of(tmp_path / "out")["id"].to_pylist() == expected_rows(source)
    assert rows_of(tmp_path / "out").column_names == ["id", "n"]
    checked = command("check", str(tmp_path / "out"), "--against", str(source), *options[2:],
                      "--by", "n")  # fmt: skip
    assert "same rows" in checked.stdout + checked.stderr


def test_labels_of_rows_are_those_of_the_row_groups_that_are_read(tmp_path):
    k = np.repeat([1, 9, 2, 8], 50)
    frame = pd.DataFrame({"k": k, "v": np.arange(200)[::-1]}, pd.RangeIndex(1000, 1400, 2))
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in" / "0.parquet", row_group_size=50)
    how = {"by": "v", "where": "k < 5 and v <> 7", "threads": 1, "partitions": 2}
    report = dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", **how)
    expected = frame[(frame["k"] < 5) & (frame["v"] != 7)].sort_values("v")
    found = pq.read_table(tmp_path / "out").to_pandas()
    assert report.passed_row_groups == 2
    assert found.index.tolist() == expected.index.tolist()
    assert found["v"].tolist() == expected["v"].tolist()


def test_rows_that_lie_in_one_row_group_alone_are_parted_evenly(tmp_path):
    rng = np.random.default_rng(5)
    price = np.where(np.arange(20_000) // 1000 == 13, 1.0, 0.0)  # floats: nothing is pruned
    table = pa.table({"k": rng.permutation(20_000), "price": price})
    source = write(tmp_path / "in", [table], row_group_size=1000)
    how = {"by": "k", "where": "price > 0.5", "threads": 2, "partitions": 4}
    report = dlsort.sort_dataset(source, tmp_path / "out", **how)
    assert rows_of(tmp_path / "out")["k"].to_pylist() == sorted(
        table["k"].to_pylist()[13_000:14_000]
    )
    assert (report.rows_read, max(report.part_rows) < 300) == (20_000, True)


def test_a_sort_of_all_rows_loads_nothing_that_conditions_need(source, tmp_path):
    code = (
        "import sys, dlsort\n"
        "dlsort.sort_dataset(*sys.argv[1:], by='day', threads=1)\n"
        "heavy = 'sqlglot', 'pyarrow.acero', 'pyarrow.dataset'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    run = [sys.executable, "-c", code, str(source), str(tmp_path / "out")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout == "[]\n", done.stderr

"""A model that an earlier sort has left: when it is used, and what a wrong one costs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
from commands import dlsort as command
from dlsort.errors import BadOptionError
from dlsort.io.parts import MANIFEST
from dlsort.model.reuse import are_alike, promised, relative_error, rows_to_compare
from dlsort.publish.manifest import read_manifest
from dlsort.tuning import TUNING

FILES, GROUP_ROWS = 8, 500
N = 40_000
RNG = np.random.default_rng(7)


def mixed(values):
    """Return keys in no order."""
    return lambda rng, n, first: values(rng, n)


FAMILIES = {
    "uniform": mixed(lambda rng, n: rng.integers(-(2**63), 2**63 - 1, n)),
    "zipf": mixed(lambda rng, n: np.minimum(rng.zipf(1.1, n), 2**62)),
    "60 % one value": mixed(
        lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.integers(-(2**40), 2**40, n))
    ),
    "all equal": mixed(lambda _, n: np.full(n, 42)),
    "three": mixed(lambda rng, n: rng.integers(0, 3, n)),
    "half nulls": mixed(
        lambda rng, n: pa.array(rng.integers(0, 2**40, n), mask=rng.random(n) < 0.5)
    ),
    "text": mixed(lambda rng, n: [f"{'x' * 40}{v:012d}" for v in rng.integers(0, 10**12, n)]),
    "sorted": lambda _, n, first: np.arange(first, first + n) * 7,
    "time-ordered": lambda rng, n, first: first * 1000 + rng.integers(0, n * 1000, n),
}


def write(folder: Path, family: str, *, files=range(FILES), n=N // FILES, seed=1) -> Path:
    """Write files of a family's keys, and of a number that tells each row."""
    folder.mkdir(exist_ok=True)
    for i in files:
        rng = np.random.default_rng([seed, i])
        keys = FAMILIES[family](rng, n, i * n)
        table = pa.table({"key": keys, "id": np.arange(i * n, (i + 1) * n)})
        pq.write_table(table, folder / f"{i:02}.parquet", row_group_size=GROUP_ROWS)
    return folder


def sort(src, dst, partitions=4, **options):
    report = dlsort.sort_dataset(
        src,
        dst,
        by=options.pop("by", "key"),
        overwrite=True,
        partitions=partitions,
        strategy=options.pop("strategy", "exchange"),
        **options,
    )
    assert report.proved
    return report


def assert_stable(src: Path, dst: Path) -> None:
    """Compare with pandas' stable sort."""
    whole = pd.concat(
        [pq.read_table(f).to_pandas(types_mapper=pd.ArrowDtype) for f in sorted(src.iterdir())]
    )
    wanted = whole.sort_values("key", kind="stable")
    found = [pq.read_table(f) for f in sorted(dst.glob("*.parquet"))]
    assert pa.concat_tables(found)["id"].to_pylist() == wanted["id"].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sort_of_the_same_files_learns_nothing_anew_and_keeps_the_balance(tmp_path, family):
    src, dst = write(tmp_path / "src", family), tmp_path / "dst"
    first = sort(src, dst)
    assert first.model == "learned"
    for n_parts in (4, 3, 4):
        again = sort(src, dst, n_parts, model=None)
        assert again.model == "reused"
        assert again.balance <= (1.15 if N // n_parts < 20_000 else 1.05)
        assert_stable(src, dst)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_grown_dataset_mends_the_model(tmp_path, family):
    src, dst = write(tmp_path / "src", family), tmp_path / "dst"
    sort(src, dst)
    write(src, family, files=[FILES], n=N // 20, seed=9)
    grown = sort(src, dst)
    assert grown.model == "mended"
    assert grown.balance <= 1.05
    assert_stable(src, dst)
    assert sort(src, dst).model == "reused"  # what was mended serves the day after


# Of two parts that are cut between values and nulls, other values change nothing.
@pytest.mark.parametrize("family", ["uniform", "text"])
def test_keys_of_another_distribution_are_learned_anew(tmp_path, family):
    src, dst = write(tmp_path / "src", family), tmp_path / "dst"
    sort(src, dst)
    for file in src.iterdir():
        table = pq.read_table(file)
        keys = pd.Series(table["key"].to_pylist(), dtype=object)
        is_text = family == "text"
        other = [
            None if v is None or v != v else f"{v}"[41:] if is_text else int(v) // 9 + 5
            for v in keys
        ]
        pq.write_table(
            table.set_column(0, "key", pa.array(other)), file, row_group_size=GROUP_ROWS
        )
    changed = sort(src, dst, 2)
    assert changed.model == "learned"
    assert changed.balance <= 1.05
    assert_stable(src, dst)


def test_files_that_are_written_anew_are_compared(tmp_path):
    # 2 parts of 60,000 rows: 3,000 of them would not show that the balance is kept
    src, dst = write(tmp_path / "src", "uniform", n=15_000), tmp_path / "dst"
    sort(src, dst, 2)
    write(src, "uniform", n=15_000, seed=2)
    again = sort(src, dst, 2)
    assert again.model == "reused"
    assert again.balance <= 1.15
    few = write(tmp_path / "few", "uniform", n=1000, seed=3)
    assert sort(few, dst, 2).model == "learned"


def test_range_reads_use_the_model(tmp_path):
    src, dst = write(tmp_path / "src", "time-ordered"), tmp_path / "dst"
    sort(src, dst, strategy="range")
    again = sort(src, dst, strategy="range")
    assert (again.model, again.moved) == ("reused", True)
    assert_stable(src, dst)


def test_an_equal_key_that_lies_in_one_place_is_not_split_by_guess(tmp_path):
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.mkdir()
    for i in range(FILES):  # all rows of the heavy key are in two of the files
        n = N // FILES
        keys = np.full(n, 50) if i in {3, 4} else i * 10 + RNG.random(n).round(3)
        table = pa.table({"key": np.asarray(keys, float), "id": np.arange(i * n, (i + 1) * n)})
        pq.write_table(table, src / f"{i:02}.parquet", row_group_size=GROUP_ROWS)
    sort(src, dst, 8)
    again = sort(src, dst, 8)
    assert again.model == "learned"
    assert again.balance <= 1.15
    assert_stable(src, dst)


def test_a_dataset_can_be_named_or_none(tmp_path):
    src, old, dst = write(tmp_path / "src", "uniform"), tmp_path / "old", tmp_path / "dst"
    sort(src, old)
    assert sort(src, dst, model=old).model == "reused"
    assert sort(src, dst, model="none").model == "learned"
    with pytest.raises(BadOptionError, match=r"model \(--model\) is .*expected a dataset that"):
        sort(src, dst, model=src)
    with pytest.raises(BadOptionError, match=r"by key:desc:?.* are distributed"):
        sort(src, dst, by="key:desc", model=old)
    assert sort(src, old, by="key:desc").model == "learned"


def test_a_model_that_lies_costs_balance_or_a_sample(tmp_path):
    src, dst = write(tmp_path / "src", "uniform"), tmp_path / "dst"
    sort(src, dst)
    for part in dst.glob("*.parquet"):
        table = pq.read_table(part)
        told = pq.read_metadata(part).metadata
        manifest = read_manifest(told)
        wrong = [[value // 1000 for value in manifest.quantiles[0]]]
        lie = dataclasses.replace(manifest, quantiles=wrong).to_json()
        metadata = {**told, MANIFEST: lie}
        metadata.pop(b"ARROW:schema", None)
        pq.write_table(table.replace_schema_metadata(metadata), part)
    report = sort(src, dst)
    assert (report.model, report.balance <= 1.15) == ("learned", True)
    assert_stable(src, dst)


def test_a_resumed_sort_takes_the_model_that_it_kept(tmp_path, monkeypatch):
    src, dst = write(tmp_path / "src", "uniform"), tmp_path / "dst"
    sort(src, dst)
    from dlsort.strategies import choose

    def fail(*_):
        msg = "lost"
        raise dlsort.errors.ClusterError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(choose, "check_outcome", fail)
        with pytest.raises(dlsort.errors.ClusterError):
            sort(src, dst, resume=True)
    report = sort(src, dst, resume=True)
    assert (report.model, report.resumed_parts) == ("reused", 4)
    assert_stable(src, dst)


KINDS = {
    "int": st.integers(-3, 3),
    "text": st.sampled_from(["", "a", "é" * 40, "é" * 40 + "b", "b" * 63 + "é", "c"]),
    "float": st.sampled_from([0.0, -0.0, 1.5, -2.0, float("inf")]),
    "decimal": st.sampled_from([Decimal("1.10"), Decimal("-5.00"), Decimal("7.25")]),
}


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_equal_keys_keep_their_order_with_any_model(tmp_path, data, kind):
    shutil.rmtree(tmp_path / "src", ignore_errors=True)
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.mkdir()
    few = data.draw(st.lists(st.none() | KINDS[kind], min_size=1, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    descending, first = data.draw(st.booleans()), data.draw(st.booleans())
    by = f"key:{'desc' if descending else 'asc'}:nulls_{'first' if first else 'last'}"
    of_kind = {"int": pa.int64(), "text": pa.string(), "float": pa.float64()}
    for day in range(2):
        for i in range(3):
            at = rng.choice(len(few), 300)
            keys = pa.array([few[j] for j in at], of_kind.get(kind, pa.decimal128(9, 2)))
            table = pa.table({"key": keys, "id": np.arange(300) + 1000 * (3 * day + i)})
            pq.write_table(table, src / f"{day}{i}.parquet", row_group_size=30)
        sort(src, dst, data.draw(st.integers(2, 5)), by=by, strategy="auto")
        again = sort(src, dst, data.draw(st.integers(2, 5)), by=by, strategy="auto")
        assert again.model in {"learned", "reused", "mended"}
        whole = pd.concat([pq.read_table(f).to_pandas() for f in sorted(src.iterdir())])
        wanted = whole.sort_values(
            "key",
            kind="stable",
            ascending=not descending,
            na_position="first" if first else "last",
        )
        found = [pq.read_table(f)["id"].to_pylist() for f in sorted(dst.glob("*.parquet"))]
        assert [i for part in found for i in part] == wanted["id"].tolist()


def test_the_bounds_of_a_comparison():
    how = TUNING.sample
    assert promised(2_000_000, 10, how) == 1.05
    assert promised(1_999_999, 10, how) == 1.15
    rng = np.random.default_rng(1)
    n, n_parts = rows_to_compare(10**8, 50, how), 50
    assert relative_error(n_parts, n, how.doubt) < 0.05
    n_off = 0
    for _ in range(300):
        seen = rng.multinomial(n, np.full(n_parts, 1 / n_parts)) * n_parts / n
        n_off += seen.max() - 1 > relative_error(n_parts, n, how.doubt)
    assert n_off <= 6  # 3 are expected at the most
    alike = rng.multinomial(1000, [0.25] * 4, size=5)
    assert are_alike(alike)
    assert not are_alike(np.concatenate([alike, [[400, 200, 200, 200]]]))
    assert not are_alike(alike[:1])


def test_the_command_shows_the_model(tmp_path):
    src, dst = write(tmp_path / "src", "60 % one value"), tmp_path / "dst"
    sort(src, dst)
    result = command("model", str(dst))
    assert result.exit_code == 0
    assert result.output.count("\n") <= 24
    assert "404 of 40,000 rows, of 8 files of a source" in result.output
    assert "of the rows: 0" in result.output
    told = json.loads(command("model", str(dst), "--json").output)
    assert (told["by"], told["parts"], told["rows"]) == ("key", 4, N)
    (share, key), *_ = told["heavy_keys"]
    assert (round(share, 1), key) == (0.6, "0")
    refused = command("model", str(src))
    assert refused.exit_code == 2
    assert "hold no model of this key" in refused.stderr

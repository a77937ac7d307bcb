"""What the command line makes of its options."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import command_options, dataset, read, sort, sorted_well, write
from commands import dlsort as command
from dlsort.cli import main as cli
from dlsort.errors import BadOptionError, UnknownColumnError
from dlsort.keys import check_columns, parse_by
from dlsort.sizes import GIB, parse_bytes
from dlsort.strategies import opened
from dlsort_cluster.machine import machine_memory_bytes

#: A value that each option takes.
VALUES = {
    "--by": "id",
    "--scheduler": "tcp://127.0.0.1:1",
    "--partition-size": "1MiB",
    "--memory": "1GiB",
    "--temp-dir": ".",
    "--compression": "snappy",
    "--report": "r.json",
    "--against": "in",
}

KEYS = pa.table({"a": [1, 2, 1, 2], "b": [1, 2, 2, 1], "c": [0, 1, 2, 3]})


# ---------------------------------------------------------------- given twice


def valued(name: str) -> list[object]:
    """Return the options of a command that take one value, by all of their names."""
    options = [
        o for o in command_options(name) if not o.is_flag and not o.multiple and o.nargs == 1
    ]
    return [
        pytest.param(name, text, VALUES.get(option.opts[0], "2"), id=f"{name} {text}")
        for option in options
        for text in option.opts
    ]


def test_the_options_that_take_several_values_are_known():
    assert [o.opts for n in cli.main.commands for o in command_options(n) if o.multiple] == [
        *[["--by"], ["--ignore"]] * 2,
        ["--ignore"],  # of an append
        *[["--by"], ["--ignore"]] * 3,
        *[["--by"]] * 2,  # of a model, and of a comparison
    ]


@pytest.mark.parametrize(
    ("name", "option", "value"), [case for name in cli.main.commands for case in valued(name)]
)
@pytest.mark.parametrize("joined", [False, True])
def test_an_option_given_twice_is_refused(tmp_path, monkeypatch, name, option, value, joined):
    monkeypatch.chdir(tmp_path)
    once = [f"{option}={value}"] if joined else [option, value]
    places = {"sort": ["in", "out", "--by", "id"], "check": ["in", "--by", "id"]}
    result = command(name, *places.get(name, []), *once, *once)
    assert result.exit_code == 2
    whole = next(o.opts[0] for o in command_options(name) if option in o.opts)
    assert f"Error: {whole} is given 2 times; give it once." in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_flag_given_twice_means_what_it_means_once(tmp_path):
    source = dataset(tmp_path / "in")
    sorted_well(source, tmp_path / "out", "--resume", "--resume", "--no-progress")


@pytest.mark.parametrize(
    "by",
    [
        ("a,b:desc",),
        ("a", "b:desc"),
    ],
)
def test_keys_given_one_by_one_are_all_sorted_by(tmp_path, by):
    write(tmp_path / "in.parquet", KEYS)
    args = [arg for key in by for arg in ("--by", key)]
    done = command("sort", tmp_path / "in.parquet", tmp_path / "out", *args, "--threads", 1)
    assert done.exit_code == 0
    assert "4 rows by a,b:desc" in done.stdout
    assert read(tmp_path / "out")["c"].to_pylist() == [2, 0, 1, 3]
    assert command("check", tmp_path / "out", *args).exit_code == 0
    wrong = command("check", tmp_path / "out", "--by", "a", "--by", "b")
    assert wrong.exit_code == 1


def test_keys_are_joined_in_order(tmp_path):
    write(tmp_path / "in.parquet", KEYS)
    sorted_well(
        tmp_path / "in.parquet", tmp_path / "out", "--by", "a", "--by", "c:desc", by="b"
    )
    assert read(tmp_path / "out").select(["b", "a", "c"]).to_pylist() == [
        {"b": 1, "a": 1, "c": 0},
        {"b": 1, "a": 2, "c": 3},
        {"b": 2, "a": 1, "c": 2},
        {"b": 2, "a": 2, "c": 1},
    ]


def test_names_with_commas_and_colons_are_given_in_quotes(tmp_path):
    table = KEYS.rename_columns(["a,b", "c:d", '"e"'])
    write(tmp_path / "in.parquet", table)
    by = ["--by", '"a,b":desc, "c:d"', "--by", '"""e""":desc']
    done = command("sort", tmp_path / "in.parquet", tmp_path / "out", *by, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert 'by "a,b":desc,"c:d","""e""":desc\n' in done.stdout
    assert read(tmp_path / "out")['"e"'].to_pylist() == [3, 1, 0, 2]
    assert command("check", tmp_path / "out", *by).exit_code == 0
    halves = command("check", tmp_path / "out", "--by", '"a', "--by", 'b"')
    assert halves.exit_code == 2
    assert "closing quote" in halves.stderr
    unknown = command("check", tmp_path / "out", "--by", "a, b")
    assert 'The columns are: "a,b", "c:d", """e""".' in unknown.stderr
    assert "double quotes" in command("sort", "--help").output


def test_a_key_column_given_twice_is_refused(tmp_path):
    write(tmp_path / "in.parquet", KEYS)
    result = sort(tmp_path / "in.parquet", tmp_path / "out", "--by", "a:desc", by="a")
    assert result.exit_code == 2
    assert "names column 'a' twice" in result.stderr


def test_no_key_is_refused():
    result = command("sort", "in", "out")
    assert result.exit_code == 2
    assert "Missing option '--by'" in result.stderr


# ---------------------------------------------------------------- what was meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--partition_size", "--partition-size"),
        ("--PARTITIONS", "--partitions"),
        ("--Temp_Dir", "--temp-dir"),
        ("--tempdir", "--temp-dir"),
        ("--memroy", "--memory"),
        ("--overwite", "--overwrite"),
    ],
)
def test_an_option_that_was_meant_is_named(given, meant):
    result = command("sort", "in", "out", "--by", "id", given, "2")
    assert result.exit_code == 2
    assert f"no such option '{given}'. Did you mean '{meant}'?" in result.stderr


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--part", "'--partitions', '--partition-size' or '--partition-by'"),
        ("--Partition_", "'--partitions', '--partition-size' or '--partition-by'"),
        ("--mem", "'--memory'"),
        ("--re", "'--reverse', '--rename', '--resume' or '--report'"),
    ],
)
def test_all_options_that_begin_so_are_named(given, meant):
    result = command("sort", "in", "out", "--by", "id", given, "2")
    assert result.stderr.endswith(f"no such option '{given}'. Did you mean {meant}?\n")


def test_options_before_the_command_are_told_in_the_same_words():
    result = command("--verison")
    assert result.exit_code == 2
    assert result.stderr.endswith("no such option '--verison'. Did you mean '--version'?\n")
    assert command("-x").stderr.endswith("no such option '-x'.\n")


def test_an_option_like_no_other():
    result = command("sort", "in", "out", "--by", "id", "--xyzzy")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: no such option '--xyzzy'.\n")


def test_a_command_that_was_meant_is_named():
    result = command("Srot", "in", "out")
    assert result.exit_code == 2
    commands = (
        "There are sort, check, append, compact, inspect, explain, stats, model, bench, "
        "config, gensort, terasort, valsort, completion, tune, warm."
    )
    assert f"no such command 'Srot'. Did you mean 'sort'? {commands}" in result.stderr


def test_a_glob_that_the_shell_has_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.parquet", "b.parquet"):
        write(Path(name), KEYS)
    assert sort("a.parquet", "b.parquet", "out", by="a").exit_code == 0
    assert pq.read_table("out").num_rows == 2 * KEYS.num_rows
    before = Path("b.parquet").read_bytes()
    forgotten = sort("a.parquet", "b.parquet", "--overwrite", by="a")
    assert forgotten.exit_code == 2
    assert (
        "b.parquet is a file like the source's that dlsort has not written" in forgotten.stderr
    )
    assert Path("b.parquet").read_bytes() == before
    stats = command("stats", "a.parquet", "b.parquet", "--by", "a")
    assert "1 more than the expected arguments: b.parquet. Put a glob in quot" in stats.stderr


@pytest.mark.parametrize("given", ["L_ShipDate", "l-shipdate", "L SHIPDATE", "shipdate"])
def test_a_column_that_was_meant_is_named(given):
    names = ["l_orderkey", "l_shipdate", "l_commitdate"]
    with pytest.raises(UnknownColumnError, match=r"Did you mean 'l_shipdate'\?"):
        check_columns(parse_by([given]), names)


def test_columns_that_differ_in_case_alone():
    with pytest.raises(UnknownColumnError, match=r"no column 'ID'\. Did you mean 'id'\?"):
        check_columns(parse_by("ID"), ["id", "Id"])
    check_columns(parse_by("Id"), ["id", "Id"])


def test_the_embedded_cluster_can_be_asked_for_by_name(tmp_path):
    source = dataset(tmp_path / "in")
    sorted_well(source, tmp_path / "out", "--scheduler", "embedded", "--threads", 1)
    refused = sort(source, tmp_path / "x", "--scheduler", "embedded", "--workers", 1)
    assert "--scheduler and --workers exclude each other" in refused.stderr
    assert "embedded" in command("sort", "--help").output.partition("--scheduler")[2][:400]


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("50%", GIB // 2), ("100 %", GIB), (" 12.5%", GIB // 8)]
)
def test_a_share(text, n_bytes):
    assert parse_bytes(text, "memory", whole_bytes=GIB) == n_bytes


@pytest.mark.parametrize(
    "text", ["0%", "-5%", "101%", "%", "x%", "nan%", "inf%", "1e-9%", "5%%"]
)
def test_what_is_no_share_is_refused(text):
    with pytest.raises(BadOptionError, match=f"memory is '{text}'; expected a share above 0%"):
        parse_bytes(text, "memory", whole_bytes=GIB)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(BadOptionError, match="partition_size is '5%'; expected a size"):
        parse_bytes("5%", "partition_size")


def test_a_size_that_is_too_large_is_not_called_too_small():
    for size in (10**400, "9999999999TiB"):
        with pytest.raises(BadOptionError, match="expected less than 8 EiB"):
            parse_bytes(size, "memory")


def test_memory_can_be_a_share_of_the_machines(tmp_path, monkeypatch):
    asked = []
    plan_budget = opened.plan_budget
    monkeypatch.setattr(
        "dlsort.strategies.opened.plan_budget",
        lambda n, *rest: asked.append(n) or plan_budget(n, *rest),
    )
    sorted_well(dataset(tmp_path / "in"), tmp_path / "out", "--memory", "50%")
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "b", by="id", memory="50%", threads=1)
    assert set(asked) == {machine_memory_bytes() // 2}


@pytest.mark.parametrize("how", [("--threads", 1), ("--workers", 2)])
def test_more_memory_than_the_machine_has_is_refused(tmp_path, how):
    most = machine_memory_bytes()
    args = ["--memory", f"{most + 2**30}", *how]
    result = sort(dataset(tmp_path / "in"), tmp_path / "out", *args)
    assert result.exit_code == 2
    sizes = [f"{n / GIB:.1f} GiB" for n in (most + 2**30, most)]
    assert f"--memory is {sizes[0]}, but this machine has only {sizes[1]}" in (result.stderr)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- values that are none


COUNTS = ("--workers", "--threads", "--partitions", "--row-group-rows")
WHOLE = "expected a whole number of at least 1."
MOST = "expected a whole number of at most 9,223,372,036,854,775,807."


@pytest.mark.parametrize("option", COUNTS)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        *[(value, WHOLE) for value in ("x", "1.5", "1e3", "0", "-1", "")],
        ("99999999999999999999", MOST),
        ("9" * 5000, MOST),
    ],
)
def test_what_is_no_number_of_things(option, value, says):
    result = command("sort", "in", "out", "--by", "id", f"{option}={value}")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {option} is ")
    assert result.stderr.endswith(f"; {says}\n")


def test_a_number_that_is_too_large_from_python():
    with pytest.raises(BadOptionError, match=r"row_group_rows is 9+; expected .* at most 9,22"):
        dlsort.sort_dataset("in", "out", by="id", row_group_rows=10**20 - 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--temp-dir", "nowhere"), "--temp-dir is 'nowhere'; expected an existing folder."),
        (("--temp-dir", ""), "--temp-dir is ''; expected an existing folder."),
        (("--temp-dir", "in"), "--temp-dir is 'in', which is the source folder in: "),
        (("--compression", "rar"), "--compression is 'rar'; expected one of snappy, "),
        (("--partitions", "70000"), "--partitions is 70,000, but the source has only 1,200 "),
        (("--memory", "9EiB"), "--memory is '9EiB'; expected a size such as"),
        (("--memory", "1000000GiB"), "--memory is 976.6 TiB, but this machine has only "),
        (("--memory", "1MiB"), "--memory is 1.0 MiB, too small to work with: "),
        (("--partition-size", "x"), "--partition-size is 'x'; expected a size such as "),
        (("--workers", "3", "--threads", "2"), "--threads is 2, fewer than --workers (3); "),
        (("--scheduler", ""), "--scheduler is '', which has no port; expected an address "),
        (("--scheduler", "threads"), "--scheduler is 'threads', which has no port; expected "),
        (("--overwrite=maybe",), "--overwrite is 'maybe'; expected it alone, or "),
        (("--row-group-rows", "0"), "--row-group-rows is 0; expected"),
        (("--overwrite", "force"), "1 more than the expected arguments: force. Write --overwr"),
    ],
    ids=" ".join,
)
def test_messages_name_the_option_and_not_the_argument(tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    result = command("sort", "in", "out", "--by", "id", "--no-progress", *args)
    assert result.exit_code == 2
    told = result.stderr.partition("Error: ")[2]
    assert told.startswith(says)
    names = "|".join(option.name for option in command_options("sort") if option.name != "by")
    assert not re.search(rf"(?<![\w-])({names}) (is|\()|\(--|_", told), told


def test_columns_and_folders_may_be_named_like_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("temp_dir is/in.parquet"), KEYS.rename_columns(["temp_dir", "memory", "c"]))
    unknown = sort("temp_dir is", "out", by="x")
    assert "The columns are: temp_dir, memory, c." in unknown.stderr
    inside = sort("temp_dir is", "out", "--temp-dir", "temp_dir is", by="c")
    assert "--temp-dir is 'temp_dir is', which is the source folder temp_dir is:" in (
        inside.stderr
    )


def test_what_is_advised_is_advised_as_an_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    write(tmp_path / "out" / "a.parquet")
    assert "Pass --overwrite to replace " in sort("in", "out").stderr
    Path("out/notes").touch()
    foreign = sort("in", "out", "--overwrite").stderr
    assert "or pass --overwrite=force to delete all" in foreign
    with pytest.raises(dlsort.DlsortError, match=r"overwrite=\"force\" \(--overwrite=force\)"):
        dlsort.sort_dataset("in", "out", by="id", overwrite=True)


def test_every_option_has_help():
    for name in cli.main.commands:
        for option in command_options(name):
            assert isinstance(option, click.Option)
            assert option.help

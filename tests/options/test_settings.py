"""Settings: what counts where several say what an option is, and what is told of it."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import dask
import pytest
import yaml

import dlsort
from commands import dataset
from commands import dlsort as command
from dlsort.errors import BadOptionError
from dlsort.options.doors import DOORS
from dlsort.options.settings import SETTABLE, env_name, settings_for
from patience import PATIENCE_S

OPTIONS = DOORS["sort_dataset"]

#: What each source says of an option, as it says it, and as the sort takes it.
TABLE = [
    ("compression", "gzip", ("lz4", "lz4"), ("zstd", "zstd")),
    ("threads", 1, ("2", 2), (3, 3)),
    ("memory", "1GiB", ("50%", "50%"), ("2GiB", "2GiB")),
    ("partition_size", "1MiB", ("2MiB", 2 * 2**20), ("3MiB", 3 * 2**20)),
    ("overwrite", True, ("force", "force"), (True, True)),
    ("resume", True, ("no", False), (True, True)),
    ("manifest", True, ("off", False), (False, False)),
    ("ignore", ["*.a"], ("*.b,*.c", ["*.b", "*.c"]), (["*.d"], ["*.d"])),
    ("strategy", "move", ("exchange", "exchange"), ("range", "range")),
    ("if_exists", "fail", ("skip", "skip"), ("replace", "replace")),
    ("progress", False, ("yes", True), (True, True)),
]


@pytest.mark.parametrize(("name", "argument", "env", "of_dask"), TABLE)
def test_the_argument_counts_then_the_environment_then_dask_then_what_is_built_in(
    monkeypatch, name, argument, env, of_dask
):
    assert settings_for(OPTIONS, {}) == {}
    with dask.config.set({f"dlsort.{name.replace('_', '-')}": of_dask[0]}):
        assert settings_for(OPTIONS, {}) == {name: of_dask[1]}
        monkeypatch.setenv(env_name(name), env[0])
        assert settings_for(OPTIONS, {}) == {name: env[1]}
        assert settings_for(OPTIONS, {name: argument}) == {}
        assert settings_for(OPTIONS, {name: None}) == {name: env[1]}
        monkeypatch.setenv(env_name(name), "")
        assert settings_for(OPTIONS, {}) == {name: of_dask[1]}


def test_every_option_can_be_set_but_those_that_say_what_is_in_the_result():
    of_one_sort = {"src", "dst", "by", "columns", "rename", "where", "merge"}
    of_one_sort |= {"unique", "unique_by", "limit", "offset"}
    of_one_sort |= {"ignore_case", "natural", "numeric", "collate", "reverse"}
    of_one_sort |= {"nan_first", "nan_last"}
    assert set(SETTABLE) == {option.name for option in OPTIONS} - of_one_sort


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({"scheduler": "tcp://h:1"}, "workers"),
        ({"scheduler": "embedded"}, "threads"),
        ({"partitions": 2}, "partition_size"),
        ({"if_exists": "fail"}, "overwrite"),
        ({"if_exists": "fail"}, "resume"),
        ({"overwrite": True}, "if_exists"),
    ],
)
def test_an_argument_sets_aside_what_excludes_it(monkeypatch, given, other):
    texts = {"workers": "2", "threads": "2", "partition_size": "1MiB", "if_exists": "fail"}
    monkeypatch.setenv(env_name(other), texts.get(other, "yes"))
    assert set(settings_for(OPTIONS, {})) == {other}
    assert settings_for(OPTIONS, given) == {}


def test_the_environment_sets_aside_what_excludes_it_in_dasks_configuration(monkeypatch):
    monkeypatch.setenv("DLSORT_PARTITIONS", "3")
    with dask.config.set({"dlsort.partition-size": "1MiB"}):
        assert settings_for(OPTIONS, {}) == {"partitions": 3}
    with dask.config.set({"dlsort.partition-size": "1MiB", "dlsort.partitions": 2}):
        assert settings_for(OPTIONS, {}) == {"partitions": 3}


def test_two_of_one_place_that_exclude_each_other_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DLSORT_PARTITIONS", "3")
    monkeypatch.setenv("DLSORT_PARTITION_SIZE", "1MiB")
    with pytest.raises(BadOptionError, match="partitions and partition_size exclude each"):
        dlsort.sort_dataset(dataset(tmp_path / "in"), tmp_path / "out", by="id", threads=1)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("DLSORT_THREADS", "many", "DLSORT_THREADS is 'many'; expected a whole number"),
        ("DLSORT_MEMORY", "150%", "DLSORT_MEMORY is '150%'; expected a share"),
        ("DLSORT_RESUME", "maybe", "DLSORT_RESUME is 'maybe'; expected True or False"),
        ("DLSORT_IF_EXISTS", "x", "DLSORT_IF_EXISTS is 'x'; expected 'fail', 'skip', "),
        ("DLSORT_PROGRESS", "x", "DLSORT_PROGRESS is 'x'; expected True or False"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_of_its_variable(
    tmp_path, monkeypatch, name, text, says
):
    monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOptionError, match=says):
        dlsort.sort_dataset("in", "out", by="id")
    result = command("sort", "in", "out", "--by", "id")
    assert (result.exit_code, result.stderr.startswith(f"Error: {says}")) == (2, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"compress": "zstd"},
            r"dlsort\.compress of Dask's .*Did you mean 'compression'\?",
        ),
        ({"threads": 0}, r"dlsort\.threads of Dask's configuration is 0; expected"),
        ("zstd", "dlsort of Dask's configuration is 'zstd'; expected options by name"),
    ],
)
def test_what_is_wrong_in_dasks_configuration_is_told(config, says):
    with dask.config.set(dlsort=config), pytest.raises(BadOptionError, match=says):
        dlsort.sort_dataset("in", "out", by="id")


def test_the_sort_takes_them_from_python_and_the_shell(tmp_path, monkeypatch):
    source = dataset(tmp_path / "in")
    monkeypatch.setenv("DLSORT_PARTITIONS", "4")
    monkeypatch.setenv("DLSORT_THREADS", "1")
    assert dlsort.sort_dataset(source, tmp_path / "a", by="id").output_parts == 4
    assert dlsort.sort_dataset(source, tmp_path / "b", by="id", partitions=2).output_parts == 2
    assert dlsort.explain(source, "id").pinned == {"partitions": 4, "threads": 1}
    for flags, n in ((), 4), (("--partitions", 3), 3):
        done = command("sort", source, tmp_path / f"c{n}", "--by", "id", *flags)
        assert done.exit_code == 0, done.output
        assert len(list((tmp_path / f"c{n}").iterdir())) == n


def test_of_dask_frames_settings_say_nothing(monkeypatch):
    import dask.dataframe as dd
    import pandas as pd

    frame = dd.from_pandas(pd.DataFrame({"x": [2, 1]}), npartitions=1)
    monkeypatch.setenv("DLSORT_WORKERS", "2")
    assert dlsort.explain(frame, "x").pinned == {}


# ---------------------------------------------------------------- in a process of its own


def run(*args: str, home: Path, **env: str) -> str:
    """Run the command with an empty home but for what a test has put there."""
    names = ("DASK_CONFIG", "DASK_ROOT_CONFIG", "DASK_INTERNAL_INHERIT_CONFIG")
    clean = {name: text for name, text in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-m", "dlsort", *args],
        env={**clean, "HOME": str(home), **env},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def origins(told: str) -> dict[str, tuple[object, str]]:
    return {row["option"]: (row["value"], row["from"]) for row in json.loads(told)}


def test_the_command_tells_each_options_value_and_where_it_is_from(tmp_path):
    folder = tmp_path / ".config" / "dask"
    folder.mkdir(parents=True)
    file = folder / "dlsort.yaml"
    file.write_text("dlsort:\n  memory: 40%\n  row-group-rows: 1000\n  strategy: exchange\n")
    env = {"DLSORT_COMPRESSION": "zstd", "DASK_DLSORT__STRATEGY": "move"}
    found = origins(run("config", "--json", home=tmp_path, **env))
    assert found["compression"] == ("zstd", "DLSORT_COMPRESSION")
    assert found["strategy"] == ("move", "DASK_DLSORT__STRATEGY")
    assert found["memory"] == ("40%", str(file))
    assert found["row_group_rows"] == (1000, str(file))
    assert found["resume"] == (False, "built in")
    assert set(found) == set(SETTABLE)
    text = run("config", home=tmp_path, **env)
    assert f"memory          40%  [{file}]\n" in text
    assert "threads         what costs least, one a core at the most  [built in]\n" in text


def test_a_sort_reads_the_file_of_the_user(tmp_path):
    (tmp_path / ".config" / "dask").mkdir(parents=True)
    (tmp_path / ".config" / "dask" / "any.yaml").write_text("dlsort: {partitions: 3}\n")
    dataset(tmp_path / "in")
    run("sort", "in", "out", "--by", "id", home=tmp_path)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_the_example_file_has_every_option_and_sets_none():
    text = command("config", "--example").stdout
    assert yaml.safe_load(text) == {"dlsort": None}
    opened = re.sub(r"^  # (\w+:)$", r"  \1", text, flags=re.M)
    assert set(yaml.safe_load(opened)["dlsort"]) == set(SETTABLE)


def test_without_a_word_of_us_dask_is_not_imported(tmp_path):
    (tmp_path / ".config" / "dask").mkdir(parents=True)
    (tmp_path / ".config" / "dask" / "dask.yaml").write_text("array: {slicing: null}\n")
    code = (
        "import sys; from dlsort.options.doors import DOORS;"
        "from dlsort.options import settings;"
        "print(settings.settings_for(DOORS['sort_dataset'], {}), 'dask' in sys.modules)"
    )
    clean = {n: t for n, t in os.environ.items() if not n.startswith("DASK_")}
    line = [sys.executable, "-c", code]
    for env, told in (
        ({}, "{} False\n"),
        ({"DASK_DLSORT__THREADS": "2"}, "{'threads': 2} True\n"),
    ):
        env = {**clean, "HOME": str(tmp_path), **env}
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
        assert done.stdout == told


def test_options_and_reports_can_be_pickled(tmp_path):
    key = dlsort.SortKey("id", descending=True)
    source = dataset(tmp_path / "in")
    job = partial(dlsort.sort_dataset, source, tmp_path / "out", by=key, threads=1)
    report = pickle.loads(pickle.dumps(job))()
    assert pickle.loads(pickle.dumps(report)) == report

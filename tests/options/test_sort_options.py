"""The options: what each door has is what the table says, and so is what is wrong with them."""

from __future__ import annotations

import inspect
import re

import pytest

import dlsort
import options_page
from commands import command_options
from commands import dlsort as command
from dlsort.cli.message_names import with_options
from dlsort.options.doors import COMMANDS, DOORS, EXCLUDE
from dlsort.options.option import SortOption

DATA = ("table", "keys")  # what is sorted is no option

each_door = pytest.mark.parametrize("door", DOORS)


def parameters(door: str) -> dict[str, inspect.Parameter]:
    found = inspect.signature(getattr(dlsort, door)).parameters
    return {name: p for name, p in found.items() if name not in DATA and name[0] != "_"}


@each_door
def test_a_signature_has_the_options_and_their_defaults(door):
    found = parameters(door)
    assert list(found) == [option.name for option in DOORS[door]]
    for option in DOORS[door]:
        assert found[option.name].default == option.default, option.name


@each_door
def test_a_docstring_has_the_options_and_their_types(door):
    text = inspect.getdoc(getattr(dlsort, door)).split("Parameters\n---")[1].split("\n\nRet")[0]
    told = re.findall(r"^(\w[\w, ]*?)(?: : (.*))?$", text, re.M)
    types = {name: kind for names, kind in told for name in names.split(", ")}
    assert {option.name for option in DOORS[door]} == set(types) - set(DATA)
    for option in DOORS[door]:
        optional = ", optional" if option.default is None else ""
        assert types[option.name] in ("", option.kind.type + optional), option.name


def test_the_page_is_what_make_options_writes():
    assert options_page.PAGE.read_text() == options_page.options_page()
    assert options_page.SETTINGS.read_text() == options_page.settings_file()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_flags(name):
    found = {option.opts[0]: option for option in command_options(name)}
    assert list(found) == [option.flag for option in COMMANDS[name]]
    for option in COMMANDS[name]:
        if option.otherwise and not option.kind.is_flag:
            assert f"Default: {option.otherwise}." in found[option.flag].help
        assert "``" not in found[option.flag].help


def test_names_of_options_in_help_are_options():
    for door, options in DOORS.items():
        named = {name for o in options for name in re.findall(r"``(\w+)``", o.help)}
        assert named <= {option.name for option in options}, door


# ---------------------------------------------------------------- from Python and the shell

PYTHON = {
    "sort": ("sort_dataset", ["in", "out"]),
    "check": ("check_dataset", ["in"]),
    "stats": ("distribution", ["in"]),
}
WRONG = {
    "by": "a:up",
    "scheduler": "nowhere",
    "partition_size": "5%",
    "memory": "150%",
    "temp_dir": " ",
    "compression": "rar",
    "against": " ",
}


def wrong() -> list[object]:
    """Return each option that may have a wrong value, with one."""
    cases = []
    for name in PYTHON:
        for option in COMMANDS[name]:
            if option in DOORS[PYTHON[name][0]] and not option.kind.is_flag:
                text = WRONG.get(option.name, "maybe")
                cases.append(pytest.param(name, option, text, id=f"{name}-{option.name}"))
    return cases


def told(name: str, **options: object) -> str:
    """Return what Python says, with the command's flags in place of its arguments."""
    door, places = PYTHON[name]
    with pytest.raises(dlsort.DlsortError) as error:
        getattr(dlsort, door)(*places, **{"by": "id", **options})
    flags = {option.name: option.flag for option in COMMANDS[name]}
    return with_options(str(error.value), flags, of_option=True)


@pytest.mark.parametrize(("name", "option", "text"), wrong())
def test_a_wrong_value_is_told_alike_from_python_and_the_shell(
    tmp_path, monkeypatch, name, option: SortOption, text
):
    monkeypatch.chdir(tmp_path)
    by = [] if option.name == "by" else ["--by", "id"]
    result = command(name, *PYTHON[name][1], *by, f"{option.flag}={text}")
    assert result.exit_code == 2
    expected = told(name, **{option.name: text})
    if option.name == "overwrite":  # in a shell there is no True or False
        expected = "--overwrite is 'maybe'; expected it alone, or --overwrite=force."
    assert result.stderr == f"Error: {expected}\n"
    assert not list(tmp_path.iterdir())


SOME_VALUE = {
    "scheduler": "tcp://127.0.0.1:1",
    "collate": "de",
    "partition_by": "id",
    "unique": "first",
}


@pytest.mark.parametrize(("one", "other"), EXCLUDE)
def test_what_excludes_each_other_is_told_alike(one, other):
    some = {option.name: option for option in COMMANDS["sort"]}
    values = {
        name: True if some[name].kind.is_flag else SOME_VALUE.get(name, 2)
        for name in (one, other)
    }
    given = {name: "" if value is True else f"={value}" for name, value in values.items()}
    flags = [f"{some[name].flag}{text}" for name, text in given.items()]
    result = command("sort", "in", "out", "--by", "id", *flags)
    expected = f"{some[one].flag} and {some[other].flag} exclude each other; give one of them."
    assert result.stderr == f"Error: {expected}\n"
    assert told("sort", **values) == expected

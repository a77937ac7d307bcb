"""One module is imported right after another, whichever way the other is imported."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, invalidate_caches
from importlib.util import find_spec

import pytest

from dlsort.frames.import_hook import import_after


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules that nobody has imported: first_one, second_one."""
    order = "import sys\nsys.imported = [*getattr(sys, 'imported', []), __name__]\n"
    for name in ("first_one", "second_one"):
        (tmp_path / f"{name}.py").write_text(order)
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    finders = list(sys.meta_path)
    yield
    assert sys.meta_path == finders
    for name in ("first_one", "second_one"):
        sys.modules.pop(name, None)
    del sys.imported


def test_the_second_is_imported_when_the_first_is(modules):
    import_after("first_one", "second_one")
    assert "second_one" not in sys.modules
    import_module("first_one")
    assert sys.imported == ["first_one", "second_one"]


def test_the_second_is_imported_at_once_if_the_first_was_there(modules):
    import_module("first_one")
    import_after("first_one", "second_one")
    assert sys.imported == ["first_one", "second_one"]


def test_a_lookup_does_not_end_the_wait(modules):
    import_after("first_one", "second_one")
    assert find_spec("first_one") is not None
    assert "second_one" not in sys.modules
    import_module("first_one")
    assert sys.imported == ["first_one", "second_one"]


def test_the_first_does_not_know_that_it_was_waited_for(modules):
    import_after("first_one", "second_one")
    first, second = import_module("first_one"), import_module("second_one")
    assert type(first.__loader__) is type(second.__loader__)
    assert first.__spec__.loader is first.__loader__


def test_a_module_that_is_not_there_is_still_not_there():
    import_after("no_such_module", "math")
    try:
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            import_module("no_such_module")
    finally:
        sys.meta_path.pop(0)


@pytest.mark.parametrize("imports", ["dlsort, dask.dataframe", "dask.dataframe, dlsort"])
def test_dask_frames_have_the_accessor_whatever_is_imported_first(imports):
    script = f"""
import {imports}
print(dask.dataframe.DataFrame.dlsort.__name__, dask.dataframe.Series.dlsort.__name__)
"""
    assert run(script) == "FrameAccessor SeriesAccessor"


def test_dlsort_alone_does_not_import_dask():
    assert run("import dlsort, sys; print('dask' in sys.modules)") == "False"


def test_the_accessor_alone_does_not_import_distributed():
    script = "import dlsort, dask.dataframe, sys; print('distributed' in sys.modules)"
    assert run(script) == "False"


def run(script: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()

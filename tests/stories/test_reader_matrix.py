"""Other engines see in a sorted copy what they see in its source: types, and values in order.

``docs/readers.md`` has the whole matrix. What an engine that is not installed would write or
read is skipped, with the reason; `make readers` installs all.
"""

from __future__ import annotations

import pytest
from distributed import Client

import readers_page
from readers.engines import READERS, WRITERS, version, why_not
from readers.matrix import NOT_READ, SAME, rows_of

PAGE = readers_page.PAGE.read_text()
TOLD = readers_page.told_rows(PAGE)
#: INT96, which the page has a paragraph about: most readers see other years in the source.
DIFFERS = {
    "Spark": (
        "timestamp",
        "array<timestamp>",
        "map<int, struct<d: decimal(9,2), t: timestamp>>",
        "timestamp, of the legacy calendar",
    ),
    "pyarrow": ("timestamp[us], as INT96",),
}


@pytest.fixture
def client():
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        yield client


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "Spark"])
def test_readers_see_what_they_see_in_the_source(writer, tmp_path):
    if why := why_not(writer):
        pytest.skip(why)
    here = [name for name in READERS if name != "Spark" and not why_not(name)]
    check(rows_of([writer], here, tmp_path))


@pytest.mark.skipif(why_not("Spark") is not None, reason=str(why_not("Spark")))
@pytest.mark.usefixtures("client")
def test_spark_and_the_readers_of_its_files_see_what_they_see_in_the_source(tmp_path):
    writers = [name for name in WRITERS if not why_not(name)]
    check(rows_of(writers, [name for name in READERS if not why_not(name)], tmp_path))


def check(rows):
    """Compare what readers see with the source, and with the page if it has their versions."""
    told = readers_page.told_versions(PAGE)
    for writer, of_writer in rows.items():
        is_told = all(version(name) == told[name] for name in (writer, "pyarrow"))
        for kind, row in of_writer.items():
            where = writer, kind
            if isinstance(row, str):
                assert not is_told or row == TOLD[writer][kind], where
                continue
            for reader, cell in row.items():
                if kind not in DIFFERS.get(writer, ()):
                    assert cell in (SAME, NOT_READ, "the copy only"), (*where, reader)
                if is_told and version(reader) == told[reader]:
                    assert cell == TOLD[writer][kind][reader], (*where, reader)


def test_the_page_is_whole():
    assert list(TOLD) == list(WRITERS)
    rows = [row for of_writer in TOLD.values() for row in of_writer.values()]
    seen = [cell for row in rows if not isinstance(row, str) for cell in row.values()]
    assert seen.count(SAME) > 0.8 * len(seen)
    assert readers_page.page(TOLD, readers_page.told_versions(PAGE)) == PAGE

"""The files of a part: one, or several where a size or folders are asked for.

One is open at a time. Where files are to have a size, each is planned as it is begun: as many
files of one length as suit the rows that are left, by the bytes that a row takes. That is what
a sample of the source took at first, and after each row group what the rows before it did.
"""

from __future__ import annotations

import pyarrow as pa

from dlsort.io.hive_folders import folder_runs, null_folder
from dlsort.io.parquet.writer import PartFile, Writer
from dlsort.io.parts import MANIFEST
from dlsort.proof.ordered import Ordered
from dlsort.proof.stats import Clock
from dlsort.publish.manifest import Manifest, quantile_rows
from dlsort_cluster.exchange import Slot

__all__ = ["PartFiles"]


class PartFiles:
    """The files of a part that is being written; a context, which leaves none half written.

    Attributes
    ----------
    made : list of (str, int)
        Paths in the folder of parts, and sizes in bytes, of the files that are whole.
    """

    def __init__(self, writer: Writer, slot: Slot, checked: Ordered, clock: Clock) -> None:
        self.made: list[tuple[str, int]] = []
        self._writer = writer
        self._slot = slot
        self._checked = checked
        self._clock = clock
        self._file: PartFile | None = None
        self._folder = ""
        self._n_in_folder = 0  # whole files
        self._row_bytes = writer.row_bytes
        self._n_rows = self._until = 0  # that the open file has, and is to have
        self._none: pa.Table | None = None

    def __enter__(self) -> PartFiles:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            self._file.__exit__(*failure)

    @property
    def n_bytes(self) -> int:
        """Size of the files that are whole."""
        return sum(size for _, size in self.made)

    def write(self, table: pa.Table) -> None:
        """Check and write the next rows.

        Raises
        ------
        OutOfOrderError
            If they are not in order.
        BadOptionError
            If they would have to go to a folder that can't be.
        """
        writer = self._writer
        self._none = table.slice(0, 0)
        if not table.num_rows and writer.partition_by:
            self._checked.add(table)
        for folder, rows in folder_runs(table, writer.partition_by, writer.schema):
            if folder != self._folder:
                if self._file is not None:
                    self._finish(is_last=False)
                self._folder, self._n_in_folder = folder, 0
            left = rows.num_rows
            if not writer.partition_by:
                left = max(left, self._slot.n_rows - self._checked.proof.rows)
            self._fill(rows, left)

    def close(self) -> None:
        """Write what is left; the part is whole."""
        if self._file is None and self._slot.n_parts == 1:
            # A dataset without rows keeps its columns.
            assert self._none is not None
            self._folder = null_folder(self._writer.partition_by)
            self._fill(self._none, 0)
        if self._file is not None:
            self._finish(is_last=True)

    def _fill(self, rows: pa.Table, left: int) -> None:
        """Write rows of one folder, which is to have ``left`` more, these among them."""
        writer, size = self._writer, rows.num_rows
        while True:
            if self._file is None:
                self._begin(left)
            assert self._file is not None
            if writer.target_bytes:
                size = min(writer.row_group_rows, self._until - self._n_rows)
            taken = rows.slice(0, size)
            with self._clock.step("prove"):
                self._checked.add(taken)
            with self._clock.step("write"):
                self._file.write(taken.drop_columns(list(writer.partition_by)))
            self._n_rows += taken.num_rows
            left -= taken.num_rows
            rows = rows.slice(taken.num_rows)
            if writer.target_bytes:
                self._plan(left)
                if left and self._n_rows >= self._until:
                    self._finish(is_last=False)
            if not rows.num_rows:
                return

    def _begin(self, left: int) -> None:
        writer, slot = self._writer, self._slot
        self._n_rows, self._until = 0, left
        if writer.target_bytes:
            self._plan(left)
        number = self._n_in_folder if writer.target_bytes else None
        self._checked.begin_file(quantile_rows(self._until) if writer.job else ())
        self._file = writer.open(slot.part, slot.n_parts, self._until, self._folder, number)

    def _plan(self, left: int) -> None:
        """Set how many rows the open file is to have, if ``left`` more go to its folder."""
        if self._file is not None and self._file.row_bytes:
            self._row_bytes = self._file.row_bytes
        n_rows = self._n_rows + left
        n_files = max(1, round(n_rows * self._row_bytes / self._writer.target_bytes))
        self._until = max(1, -(-n_rows // n_files))

    def _finish(self, *, is_last: bool) -> None:
        assert self._file is not None
        with self._clock.step("write"):
            self._file.close(self._manifest(is_last=is_last))
        self.made.append((self._file.name, self._file.n_bytes))
        if self._writer.target_bytes and self._n_rows:
            self._row_bytes = self._file.n_bytes / self._n_rows
        self._file = None
        self._n_in_folder += 1

    def _manifest(self, *, is_last: bool) -> dict[bytes, bytes]:
        """Return what a file says of itself in its footer, if it is to say anything."""
        writer = self._writer
        keys = writer.manifest_keys
        if not writer.job:
            return {}
        proof, places, picked = self._checked.end_file()
        names = [key.column for key in keys]
        manifest = Manifest.of(
            writer.job,
            keys,
            self._slot.part,
            self._slot.n_parts,
            proof,
            pa.schema([*writer.schema, *writer.made_fields]),
            [table.select(names) for table in picked],
            writer.marks,
            writer.growth,
            places=places,
            first_row=self._checked.proof.rows - proof.rows,
            is_last=is_last,
            partition_by=writer.partition_by,
            chosen=writer.chosen,
        )
        return {MANIFEST: manifest.to_json()}

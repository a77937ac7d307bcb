"""Names for the arrays that kernels read and write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Bytes", "Groups", "Mask", "Offsets", "Places", "RowNumbers", "Rows", "Words"]

Words = npt.NDArray[np.uint64]
# Row numbers: a local piece has fewer than 2^32 rows.
Rows = npt.NDArray[np.uint32]
# Row numbers as a caller may want them.
RowNumbers = npt.NDArray[np.uint32] | npt.NDArray[np.int64]
# The group of each row.
Groups = npt.NDArray[np.uint16]
# Positions in an order, where runs and partitions begin and end.
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool]
Bytes = npt.NDArray[np.uint8]
# Where variable-length values begin and end in their bytes, as Arrow has them.
Offsets = npt.NDArray[np.int32] | npt.NDArray[np.int64]

"""Figures of `docs/how-it-works.md`: each function below draws one.

make figures
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from svg import BLUE, COLOURS, GREY, ORANGE, Drawing

from dlsort.keys import parse_by
from dlsort.model.model import fit_model
from dlsort.tuning import TUNING

HERE = Path(__file__).parent
N_SAMPLED, N_PARTS = 4_000, 8


def sampled_keys() -> np.ndarray:
    """Return keys that are crowded at the low end, in order: a lognormal sample."""
    normal = NormalDist(0.0, 0.9)
    shares = ((i + 0.5) / N_SAMPLED for i in range(N_SAMPLED))
    return np.array([round(1_000 * math.exp(normal.inv_cdf(share))) for share in shares])


def cdf() -> str:
    """Draw the distribution of a sample, and the splitters that dlsort cuts it at."""
    keys = sampled_keys()
    row = np.arange(N_SAMPLED)
    model = fit_model(
        pa.table({"key": keys}),
        np.zeros_like(row),
        row,
        np.ones(N_SAMPLED),
        parse_by("key"),
        N_PARTS,
        TUNING.order,
        n_bands=1,
    )
    splitters = model.splitters["key"].to_pylist()

    left, top, width, height, most = 60, 20, 560, 260, 6_000
    drawing = Drawing(
        660, 340, "The distribution of the keys, and the splitters of 8 partitions"
    )

    def place(key: float, share: float) -> tuple[float, float]:
        return left + width * min(key, most) / most, top + height * (1 - share)

    drawing.line([place(0, 1), place(0, 0), place(most, 0)])
    for number, splitter in enumerate(splitters, 1):
        share = number / N_PARTS
        drawing.line([place(0, share), place(splitter, share), place(splitter, 0)], ORANGE, 1)
    shown = [(int(key), (i + 1) / N_SAMPLED) for i, key in enumerate(keys) if key <= most]
    drawing.line([place(key, share) for key, share in shown[:: N_SAMPLED // 100]], BLUE, 2.5)
    for share in (0, 0.5, 1):
        drawing.text(left - 8, place(0, share)[1] + 4, f"{share:.0%}", "end")
    drawing.text(left + width / 2, top + height + 22, "key")
    drawing.text(
        left + width / 2,
        top + height + 44,
        "splitters: from one to the next an eighth of the rows",
    )
    return drawing.to_svg()


def exchange() -> str:
    """Draw the shards of three inputs on their way to four partitions."""
    drawing = Drawing(660, 340, "Each input sends one shard to each partition")
    for i in range(3):
        drawing.text(90, 20 + 105 * i, f"input {i + 1}")
        for p in range(4):
            y = 28 + 105 * i + 18 * p
            drawing.box(30, y, 120, 16, COLOURS[p])
            drawing.arrow((150, y + 8), (440, 28 + 75 * p + 13 * i + 8), COLOURS[p])
    for p in range(4):
        drawing.box(442, 28 + 75 * p, 130, 42, COLOURS[p])
        drawing.text(507, 28 + 75 * p + 26, f"partition {p + 1}")
    drawing.text(90, 330, "4 shards an input")
    drawing.text(507, 330, "3 shards a partition")
    return drawing.to_svg()


def bands() -> str:
    """Draw a partition, its bands, and the groups of one of them."""
    drawing = Drawing(660, 280, "A partition, its bands, and the groups of a band")
    drawing.text(20, 38, "partition", "start")
    drawing.box(110, 20, 520, 30, BLUE)
    drawing.text(20, 128, "bands", "start")
    for b in range(4):
        drawing.box(112 + 130 * b, 110, 126, 30, BLUE)
        drawing.line([(112 + 130 * b, 110), (112 + 130 * b, 50)], GREY, 1)
    drawing.text(370, 84, "a range of keys that fits the cache, sorted one after the other")
    drawing.text(20, 228, "groups", "start")
    for g in range(16):
        drawing.box(112 + 32.5 * g, 210, 30, 30, ORANGE)
    drawing.line([(242, 140), (112, 210)], GREY, 1)
    drawing.line([(368, 140), (629, 210)], GREY, 1)
    drawing.text(370, 196, "a learned map gives each row its group; each is sorted alone")
    drawing.text(370, 265, "smallest keys at the left, greatest at the right")
    return drawing.to_svg()


FIGURES = {"cdf": cdf, "exchange": exchange, "bands": bands}


def main() -> None:
    """Write all figures."""
    for name, draw in FIGURES.items():
        (HERE / f"{name}.svg").write_text(draw())


if __name__ == "__main__":
    main()

"""Arrays of words that sorts find easy or hard; each kernel's tests draw from here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Make = Callable[[np.random.Generator, int], Words]

MOST = 2**64 - 1


def uniform(rng: np.random.Generator, n: int) -> Words:
    return rng.integers(0, MOST, n, dtype=np.uint64, endpoint=True)


def narrow(rng: np.random.Generator, n: int) -> Words:
    return rng.integers(2**40, 2**41, n, dtype=np.uint64)


def normal(rng: np.random.Generator, n: int) -> Words:
    bits = rng.normal(size=n).view(np.uint64)
    return np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(2**63))


def zipf(rng: np.random.Generator, n: int) -> Words:
    return rng.zipf(1.2, n).astype(np.uint64)


def log_uniform(rng: np.random.Generator, n: int) -> Words:
    return uniform(rng, n) >> rng.integers(0, 64, n, dtype=np.uint64)


def increasing(rng: np.random.Generator, n: int) -> Words:
    return np.sort(uniform(rng, n))


def decreasing(rng: np.random.Generator, n: int) -> Words:
    return np.sort(uniform(rng, n))[::-1].copy()


def nearly_sorted(rng: np.random.Generator, n: int) -> Words:
    words = increasing(rng, n)
    late = rng.integers(0, max(n, 1), n // 50)
    words[late] = uniform(rng, n // 50)
    return words


def saw(rng: np.random.Generator, n: int) -> Words:
    return np.arange(n, dtype=np.uint64) % np.uint64(97)


def organ_pipe(rng: np.random.Generator, n: int) -> Words:
    return np.minimum(np.arange(n), n - np.arange(n)).astype(np.uint64) << np.uint64(45)


def constant(rng: np.random.Generator, n: int) -> Words:
    return np.full(n, MOST, np.uint64)


def two_far_apart(rng: np.random.Generator, n: int) -> Words:
    return rng.integers(0, 2, n, dtype=np.uint64) * np.uint64(MOST)


def few_distinct(rng: np.random.Generator, n: int) -> Words:
    return uniform(rng, 7)[rng.integers(0, 7, n)]


def one_heavy(rng: np.random.Generator, n: int) -> Words:
    return np.where(rng.random(n) < 0.6, np.uint64(2**63 + 12345), uniform(rng, n))


def outliers(rng: np.random.Generator, n: int) -> Words:
    """A narrow range, and a few words so far off that a plain shift ties all the others."""
    words = rng.integers(0, 2**30, n, dtype=np.uint64)
    words[rng.integers(0, max(n, 1), n // 1000 + 1 if n else 0)] = 2**62
    return words


def both_tails(rng: np.random.Generator, n: int) -> Words:
    words = log_uniform(rng, n)
    return np.where(rng.random(n) < 0.5, words, ~words)


def nested_clusters(rng: np.random.Generator, n: int) -> Words:
    """Clusters of clusters at seven scales: any one map to codes ties most of them."""
    words = np.zeros(n, np.uint64)
    for bit in range(0, 61, 10):
        words |= rng.integers(0, 3, n, dtype=np.uint64) << np.uint64(bit)
    return words


def tight_clusters(rng: np.random.Generator, n: int) -> Words:
    """Clusters as narrow as a code, each with its words all different."""
    centres = uniform(rng, n // 50 + 1) >> np.uint64(1)
    return centres[rng.integers(0, len(centres), n)] + rng.integers(
        0, 2**14, n, dtype=np.uint64
    )


PATTERNS: list[Make] = [
    uniform,
    narrow,
    normal,
    zipf,
    log_uniform,
    increasing,
    decreasing,
    nearly_sorted,
    saw,
    organ_pipe,
    constant,
    two_far_apart,
    few_distinct,
    one_heavy,
    outliers,
    both_tails,
    nested_clusters,
    tight_clusters,
]

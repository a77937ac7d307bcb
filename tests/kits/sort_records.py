"""Records of the sort benchmark, made by Python's own numbers, as gensort is described."""

from __future__ import annotations

MASK = bytes.fromhex(
    "00000000000000000000 f0e8e4e2e1d8d4d2d1cc cac9c6c5c3b8b4b2b1ac aaa9a6a5a39c9a999695"
    "938e8d8b87787472716c 6a696665635c5a595655 534e4d4b473c3a393635 332e2d2b271e1d1b170f"
    "c8c4c2c1989492918ce0 170f332e2d2b271e1d1b"
)
A, C, ALL = 0x2360ED051FC65DA44385DF649FCCF645, 0x4A696D47726179524950202020202001, 2**128


def numbers(n: int, first: int) -> list[int]:
    """Return the random numbers of records from the first on."""
    step, factor, add, x = first, A, C, 0
    while step:
        if step % 2:
            x = (factor * x + add) % ALL
        factor, add, step = factor * factor % ALL, (factor * add + add) % ALL, step // 2
    found = []
    for _ in range(n):
        x = (A * x + C) % ALL
        found.append(x)
    return found


def ascii_key(x: int) -> bytes:
    high, low = divmod(x, 2**64)
    digits = [high // 95**i % 95 for i in range(8)] + [low // 95**i % 95 for i in range(2)]
    return bytes(32 + digit for digit in digits)


def binary_key(x: int) -> bytes:
    return x.to_bytes(16, "big")[:10]


def record(xs: list[int], number: int, *, ascii: bool) -> bytes:
    if not ascii:
        keys = b"".join(map(binary_key, xs))
        return bytes(a ^ b for a, b in zip(keys, MASK, strict=True))
    filler = f"{xs[0] % 2**52:013X}"
    rest = "".join(4 * sign for sign in filler)
    return ascii_key(xs[0]) + f"  {number:032X}  {rest}\r\n".encode()


def skewed(made: bytes, x: int, number: int, *, ascii: bool) -> bytes:
    """Return a record whose key begins as that of another, as its random number says."""
    high, low = divmod(number, 2**64)
    word = high or low
    index = word.bit_length() if word < 2**60 else 64  # 61 to 63 bits count as 64
    other = numbers(1, index + (64 if high else 0))[0]
    prefix = (ascii_key(other) if ascii else binary_key(other))[:6]
    n_bits = 8 * (x >> 32 & 7) if ascii else x >> 32 & 63
    n_bits = 0 if n_bits > 48 else n_bits
    keep = 48 - n_bits
    ours, theirs = (int.from_bytes(each[:6], "big") for each in (made, prefix))
    return (theirs >> keep << keep | ours % 2**keep).to_bytes(6, "big") + made[6:]


def records(n: int, first: int = 0, *, ascii: bool = False, skew: bool = False) -> bytes:
    """Return so many records."""
    xs = numbers(n + 9, first)
    found = []
    for i in range(n):
        made = record(xs[i : i + 10], first + i, ascii=ascii)
        found.append(skewed(made, xs[i], first + i, ascii=ascii) if skew else made)
    return b"".join(found)


def cut(data: bytes) -> list[bytes]:
    """Return records one by one."""
    return [data[i : i + 100] for i in range(0, len(data), 100)]


def in_order(data: bytes) -> bytes:
    """Return records sorted."""
    return b"".join(sorted(cut(data)))

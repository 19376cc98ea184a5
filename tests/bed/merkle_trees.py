"""Merkle trees a second time, from their descriptions: recursive where the product's are by levels,
with a Keccak over the five-by-five lanes themselves. `python merkle_trees.py` prints its answers.
"""

import hashlib
from itertools import product

WORDS = [
    *(b"my", b"very", b"eager", b"mother", b"just", b"served", b"us", b"nine", b"pizzas"),
    *(b"make", b"prime"),
]
# As Solana's own tests of its tree have it.
ROOT_OF_WORDS = "b40c847546fdceea166f927fc46c5ca33c3638236a36275c1346d3dffb84e1bc"
KECCAK_ANSWERS = [
    (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
    (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
]
Steps = list[tuple[bytes, bool]]


def _width(count: int) -> int:
    """Leaves of the full tree that so many leaves begin."""
    return 1 << (count - 1).bit_length()


def _solana(leaves: list[bytes], first: int, width: int) -> bytes | None:
    """The node over `width` places from `first`; None: nothing is there."""
    if first >= len(leaves):
        return None
    if width == 1:
        return hashlib.sha256(b"\x00" + leaves[first]).digest()
    left = _solana(leaves, first, width // 2)
    right = _solana(leaves, first + width // 2, width // 2)
    assert left is not None
    return hashlib.sha256(b"\x01" + left + (right or left)).digest()


def solana_root(leaves: list[bytes]) -> bytes:
    found = _solana(leaves, 0, _width(len(leaves)))
    assert found is not None
    return found


def solana_proof(leaves: list[bytes], place: int) -> Steps:
    """Neighbours from the leaf upwards, and whether each stands left."""
    steps, width = [], 1
    while width < _width(len(leaves)):
        own = place // width * width
        right = own // width % 2 == 1
        beside = _solana(leaves, own - width if right else own + width, width)
        mine = _solana(leaves, own, width)
        assert mine is not None
        steps.append((beside or mine, right))
        width *= 2
    return steps


def _keccak_node(one: bytes, other: bytes) -> bytes:
    return keccak(b"".join(sorted((one, other))))


def _keccak(leaves: list[bytes], first: int, width: int) -> bytes | None:
    if first >= len(leaves):
        return None
    if width == 1:
        return leaves[first]
    left = _keccak(leaves, first, width // 2)
    right = _keccak(leaves, first + width // 2, width // 2)
    assert left is not None
    return left if right is None else _keccak_node(left, right)


def keccak_root(leaves: list[bytes]) -> bytes:
    found = _keccak(leaves, 0, _width(len(leaves)))
    assert found is not None
    return found


def keccak_proof(leaves: list[bytes], place: int) -> list[bytes]:
    found, width = [], 1
    while width < _width(len(leaves)):
        own = place // width * width
        beside = _keccak(leaves, own - width if own // width % 2 else own + width, width)
        found += [] if beside is None else [beside]
        width *= 2
    return found


MASK = 2**64 - 1
TURNS = {  # rho, by place (x, y), as the standard's table has it
    **{(0, 0): 0, (1, 0): 1, (2, 0): 62, (3, 0): 28, (4, 0): 27},
    **{(0, 1): 36, (1, 1): 44, (2, 1): 6, (3, 1): 55, (4, 1): 20},
    **{(0, 2): 3, (1, 2): 10, (2, 2): 43, (3, 2): 25, (4, 2): 39},
    **{(0, 3): 41, (1, 3): 45, (2, 3): 15, (3, 3): 21, (4, 3): 8},
    **{(0, 4): 18, (1, 4): 2, (2, 4): 61, (3, 4): 56, (4, 4): 14},
}
ROUNDS = [
    *(0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000),
    *(0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009),
    *(0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A),
    *(0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003),
    *(0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A),
    *(0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008),
]


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & MASK if by else lane


def keccak(data: bytes) -> bytes:
    lanes = dict.fromkeys(product(range(5), range(5)), 0)
    blocks = data + b"\x01" + b"\x00" * (135 - len(data) % 136)
    blocks = blocks[:-1] + bytes([blocks[-1] | 128])
    for start in range(0, len(blocks), 136):
        for number in range(17):
            word = blocks[start + 8 * number :][:8]
            lanes[number % 5, number // 5] ^= int.from_bytes(word, "little")
        for constant in ROUNDS:
            lanes = _round(lanes, constant)
    return b"".join(lanes[x, 0].to_bytes(8, "little") for x in range(4))


def _round(a: dict[tuple[int, int], int], constant: int) -> dict[tuple[int, int], int]:
    c = [a[x, 0] ^ a[x, 1] ^ a[x, 2] ^ a[x, 3] ^ a[x, 4] for x in range(5)]
    d = [c[(x + 4) % 5] ^ _turned(c[(x + 1) % 5], 1) for x in range(5)]
    b = {
        (y, (2 * x + 3 * y) % 5): _turned(a[x, y] ^ d[x], TURNS[x, y])
        for x, y in product(range(5), range(5))
    }
    a = {
        (x, y): b[x, y] ^ (~b[(x + 1) % 5, y] & b[(x + 2) % 5, y] & MASK)
        for x, y in product(range(5), range(5))
    }
    a[0, 0] ^= constant
    return a


if __name__ == "__main__":
    print(solana_root(WORDS).hex(), keccak(b"abc").hex())

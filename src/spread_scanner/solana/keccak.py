"""Keccak-256 as it was before it became SHA-3: the padding is another one, so that hashlib's
sha3_256 says something else. Pure.

The state is 25 lanes of 64 bits, lane x + 5y at [x, y]; 24 rounds of five steps on it.
"""

_LANES, _RATE_BYTES, _HASH_BYTES = 25, 136, 32
_ALL = (1 << 64) - 1
_PADDING = b"\1"


def _constants() -> tuple[int, ...]:
    """Of the rounds: bit 2^j - 1 of round i is the linear register's output at 7i + j."""
    register, bits = 1, []
    for _ in range(24 * 7):
        bits.append(register & 1)
        register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return tuple(
        sum(bits[7 * turn + number] << (1 << number) - 1 for number in range(7))
        for turn in range(24)
    )


def _walk() -> tuple[tuple[int, int], ...]:
    """Where rho and pi take each lane, and by how much it is rotated, along their one cycle."""
    found, x, y = [], 1, 0
    for number in range(24):
        turned = (number + 1) * (number + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
        found.append((x + 5 * y, turned))
    return tuple(found)


_CONSTANTS, _WALK = _constants(), _walk()


def keccak_256(data: bytes) -> bytes:
    """32 bytes."""
    padded = data + _PADDING + bytes(-(len(data) + 1) % _RATE_BYTES)
    padded = padded[:-1] + bytes([padded[-1] | 0x80])
    state = [0] * _LANES
    for at in range(0, len(padded), _RATE_BYTES):
        for lane in range(_RATE_BYTES // 8):
            state[lane] ^= int.from_bytes(padded[at + 8 * lane : at + 8 * lane + 8], "little")
        _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[: _HASH_BYTES // 8])


def _permute(state: list[int]) -> None:
    for constant in _CONSTANTS:
        sums = [
            state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
            for x in range(5)
        ]
        for x in range(5):
            turned = sums[(x + 1) % 5]
            mixed = sums[x - 1] ^ (turned << 1 & _ALL | turned >> 63)
            for lane in range(x, _LANES, 5):
                state[lane] ^= mixed
        carried = state[1]
        for lane, by in _WALK:
            state[lane], carried = (carried << by & _ALL) | carried >> 64 - by, state[lane]
        for row in range(0, _LANES, 5):
            a, b, c, d, e = state[row : row + 5]
            state[row : row + 5] = (
                a ^ ~b & c & _ALL,
                b ^ ~c & d & _ALL,
                c ^ ~d & e & _ALL,
                d ^ ~e & a & _ALL,
                e ^ ~a & b & _ALL,
            )
        state[0] ^= constant

"""Merkle proofs: whether a leaf is in the tree of a root that somebody published. Pure.

Two forms of a tree. SOLANA is that of Solana's own merkle tree: SHA-256 of a byte 0 and the leaf's
data, and of a byte 1 and two children in their order; a node without a neighbour is paired with
itself. KECCAK is that of airdrops: Keccak-256 (that of before SHA-3) of two children in ascending
order of their bytes, so that a proof need not say sides; the last node without a neighbour goes up
as it is, and leaves are hashes already.

A proof of the first form says of each step whether the neighbour stands left or right; which place
the leaf has follows from it. Proofs are outside input: what is no proof is a BadProof, one that
proves something else is False.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from spread_scanner.errors import Category, SpreadError
from spread_scanner.solana.keccak import keccak_256

HASH_BYTES = 32
STEPS_MAX = 64  # a tree of more leaves than there are numbers for
_LEAF, _NODE = b"\0", b"\1"


class BadProof(SpreadError):
    """What cannot be a proof, whatever it is of: a hash of another length, too many steps."""

    category = Category.WARN


class MerkleForm(StrEnum):
    """How leaves and nodes are hashed, and what becomes of a node without a neighbour."""

    SOLANA = "sha256"
    KECCAK = "keccak256"


class ProofStep(NamedTuple):
    """The neighbour at one level, from the leaf upwards; `left`: it stands left of ours. KECCAK
    orders by bytes and does not look at it."""

    neighbour: bytes
    left: bool = False


class MerkleProof(NamedTuple):
    """One claim: that this leaf is in the tree of this root. `leaf` is the data itself for SOLANA,
    and its hash for KECCAK."""

    root: bytes
    leaf: bytes
    steps: Sequence[ProofStep]


def leaf_hash(leaf: bytes, form: MerkleForm = MerkleForm.SOLANA) -> bytes:
    """What stands at the bottom of the tree. Raises BadProof for a leaf of KECCAK that is no
    hash."""
    if form is MerkleForm.KECCAK:
        return _hash_of(leaf, "leaf")
    return hashlib.sha256(_LEAF + leaf).digest()


def node_hash(left: bytes, right: bytes, form: MerkleForm = MerkleForm.SOLANA) -> bytes:
    """What stands over two."""
    if form is MerkleForm.KECCAK:
        return keccak_256(left + right if left <= right else right + left)
    return hashlib.sha256(_NODE + left + right).digest()


def verify(proof: MerkleProof, form: MerkleForm = MerkleForm.SOLANA) -> bool:
    """Whether the leaf is in the tree of the root. Raises BadProof."""
    root = _hash_of(proof.root, "root")
    if len(proof.steps) > STEPS_MAX:
        raise BadProof("a proof of too many steps", steps=len(proof.steps), allowed=STEPS_MAX)
    found = leaf_hash(proof.leaf, form)
    for neighbour, left in proof.steps:
        beside = _hash_of(neighbour, "neighbour")
        found = node_hash(beside, found, form) if left else node_hash(found, beside, form)
    return found == root


def verify_all(
    proofs: Iterable[MerkleProof], form: MerkleForm = MerkleForm.SOLANA
) -> list[bool | BadProof]:
    """Of each whether it holds, in their order: one that is none costs the others nothing."""
    found: list[bool | BadProof] = []
    for proof in proofs:
        try:
            found.append(verify(proof, form))
        except BadProof as bad:
            found.append(bad)
    return found


def root_of(leaves: Sequence[bytes], form: MerkleForm = MerkleForm.SOLANA) -> bytes:
    """Of a whole tree. Raises BadProof where there is no leaf."""
    return _levels(leaves, form)[-1][0]


def proof_of(
    leaves: Sequence[bytes], place: int, form: MerkleForm = MerkleForm.SOLANA
) -> MerkleProof:
    """That the leaf at a place is in the tree of these. Raises BadProof."""
    if not 0 <= place < len(leaves):
        raise BadProof("a leaf that is not there", place=place, leaves=len(leaves))
    levels, steps, at = _levels(leaves, form), [], place
    for level in levels[:-1]:
        beside = at ^ 1
        if beside < len(level):
            steps.append(ProofStep(level[beside], beside < at))
        elif form is MerkleForm.SOLANA:
            steps.append(ProofStep(level[at]))
        at //= 2
    return MerkleProof(levels[-1][0], leaves[place], tuple(steps))


def _levels(leaves: Sequence[bytes], form: MerkleForm) -> list[list[bytes]]:
    """From the leaves' hashes up to the root's level."""
    if not leaves:
        raise BadProof("a tree without a leaf has no root")
    levels = [[leaf_hash(leaf, form) for leaf in leaves]]
    while len(level := levels[-1]) > 1:
        above = [node_hash(level[at], level[at + 1], form) for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            last = level[-1]
            above.append(last if form is MerkleForm.KECCAK else node_hash(last, last, form))
        levels.append(above)
    return levels


def _hash_of(found: bytes, what: str) -> bytes:
    if len(found) != HASH_BYTES:
        raise BadProof(f"a {what} that is no hash", length=len(found), allowed=HASH_BYTES)
    return found

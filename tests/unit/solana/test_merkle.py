"""Merkle proofs, held to trees of a second making (merkle_trees.py), to published answers, and to
what must not pass.
"""

import hashlib
import random

import pytest
from merkle_trees import (
    KECCAK_ANSWERS,
    ROOT_OF_WORDS,
    WORDS,
    keccak_proof,
    keccak_root,
    solana_proof,
    solana_root,
)

from spread_scanner.solana.keccak import keccak_256
from spread_scanner.solana.merkle import (
    STEPS_MAX,
    BadProof,
    MerkleForm,
    MerkleProof,
    ProofStep,
    leaf_hash,
    node_hash,
    proof_of,
    root_of,
    verify,
    verify_all,
)

COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 33)
FORMS = [*MerkleForm]


def leaves_of(count: int, form: MerkleForm) -> list[bytes]:
    words = [f"leaf {number}".encode() for number in range(count)]
    return words if form is MerkleForm.SOLANA else [hashlib.sha256(word).digest() for word in words]


def second_opinion(leaves: list[bytes], place: int, form: MerkleForm) -> MerkleProof:
    """Root and steps as the tree of the other making has them."""
    if form is MerkleForm.SOLANA:
        steps = [ProofStep(beside, left) for beside, left in solana_proof(leaves, place)]
        return MerkleProof(solana_root(leaves), leaves[place], steps)
    steps = [ProofStep(beside) for beside in keccak_proof(leaves, place)]
    return MerkleProof(keccak_root(leaves), leaves[place], steps)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", COUNTS)
def test_every_leaf_of_a_tree(form: MerkleForm, count: int) -> None:
    leaves = leaves_of(count, form)
    theirs = [second_opinion(leaves, place, form) for place in range(count)]
    assert verify_all(theirs, form) == [True] * count
    ours = [proof_of(leaves, place, form) for place in range(count)]
    assert root_of(leaves, form) == theirs[0].root
    assert verify_all(ours, form) == [True] * count
    assert [[step.neighbour for step in one.steps] for one in ours] == [
        [step.neighbour for step in one.steps] for one in theirs
    ]


def test_the_published_root() -> None:
    assert root_of(WORDS).hex() == ROOT_OF_WORDS


@pytest.mark.parametrize(("data", "answer"), KECCAK_ANSWERS)
def test_keccak_answers(data: bytes, answer: str) -> None:
    assert keccak_256(data).hex() == answer


def test_keccak_is_sha3_but_for_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The permutation and the sponge, over lengths around a block: two more bits of padding make
    it what hashlib has."""
    from spread_scanner.solana import keccak

    monkeypatch.setattr(keccak, "_PADDING", b"\6")
    for length in (0, 1, 71, 72, 134, 135, 136, 137, 271, 272, 273, 1_000):
        data = random.Random(length).randbytes(length)
        assert keccak_256(data) == hashlib.sha3_256(data).digest(), length


def mutants(proof: MerkleProof, form: MerkleForm) -> dict[str, MerkleProof]:
    """A proof that holds, changed in one way each: none may hold."""
    root, leaf, steps = proof
    flipped = bytes([leaf[0] ^ 1]) + leaf[1:]
    found = {
        "another leaf": MerkleProof(root, flipped, steps),
        "another root": MerkleProof(bytes([root[0] ^ 1]) + root[1:], leaf, steps),
        "a step less": MerkleProof(root, leaf, steps[1:]),
        "the last step less": MerkleProof(root, leaf, steps[:-1]),
        "a step twice": MerkleProof(root, leaf, [*steps[:1], *steps]),
        "steps turned round": MerkleProof(root, leaf, steps[::-1]),
        "no steps": MerkleProof(root, leaf, []),
        "another neighbour": MerkleProof(
            root, leaf, [ProofStep(bytes(32), steps[0].left), *steps[1:]]
        ),
    }
    if form is MerkleForm.SOLANA:
        other_side = ProofStep(steps[0].neighbour, not steps[0].left)
        found["the other side"] = MerkleProof(root, leaf, [other_side, *steps[1:]])
        hashed = leaf_hash(leaf)
        found["a leaf that is hashed"] = MerkleProof(root, hashed, steps)
        # A node that is passed for a leaf: what the two prefixes are there against.
        pair = (steps[0].neighbour + hashed) if steps[0].left else (hashed + steps[0].neighbour)
        found["a node for a leaf"] = MerkleProof(root, pair, steps[1:])
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", [0, 3, 9])
def test_mutants_fail(form: MerkleForm, place: int) -> None:
    proof = second_opinion(leaves_of(11, form), place, form)
    assert verify(proof, form)
    for name, mutant in mutants(proof, form).items():
        assert verify(mutant, form) is False, name


def test_an_odd_node_is_paired_with_itself_in_one_form_only() -> None:
    three = leaves_of(3, MerkleForm.SOLANA)
    last = leaf_hash(three[2])
    left = node_hash(leaf_hash(three[0]), leaf_hash(three[1]))
    assert root_of(three) == node_hash(left, node_hash(last, last))
    three = leaves_of(3, MerkleForm.KECCAK)
    left = node_hash(three[0], three[1], MerkleForm.KECCAK)
    assert root_of(three, MerkleForm.KECCAK) == node_hash(left, three[2], MerkleForm.KECCAK)


HASH = bytes(32)
WRONG = [
    (MerkleProof(b"", b"leaf", []), MerkleForm.SOLANA, "a root that is no hash"),
    (MerkleProof(HASH + b"\0", b"leaf", []), MerkleForm.SOLANA, "a root that is no hash"),
    (MerkleProof(HASH, b"leaf", [ProofStep(b"short")]), MerkleForm.SOLANA, "a neighbour that is"),
    (MerkleProof(HASH, b"leaf", []), MerkleForm.KECCAK, "a leaf that is no hash"),
    (
        MerkleProof(HASH, b"leaf", [ProofStep(HASH)] * (STEPS_MAX + 1)),
        MerkleForm.SOLANA,
        "a proof of too many steps",
    ),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_proofs(number: int) -> None:
    proof, form, why = WRONG[number]
    with pytest.raises(BadProof, match=why):
        verify(proof, form)


def test_a_batch_goes_on_after_one_that_is_none() -> None:
    good = proof_of(WORDS, 4)
    found = verify_all([good, WRONG[0][0], good._replace(leaf=b"other"), good])
    assert isinstance(found[1], BadProof)
    assert [found[0], found[2], found[3]] == [True, False, True]
    with pytest.raises(BadProof, match="a tree without a leaf"):
        root_of([])
    with pytest.raises(BadProof, match="a leaf that is not there"):
        proof_of(WORDS, len(WORDS))

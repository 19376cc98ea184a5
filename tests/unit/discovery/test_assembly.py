"""Places and numbers: who wins when there are too many, and which ids stay."""

import random
from typing import Any

import bed
from spread_scanner.discovery.assembly import Placed, assign_ids, placed, tables_of
from spread_scanner.discovery.identity import judge
from spread_scanner.exchanges.adapter import Funding
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.tables import SymbolRow, Tables


def freed_rows(freed: list[tuple[int, str]]) -> tuple[SymbolRow, ...]:
    return tuple(SymbolRow(id_, name, name.split("-")[0], "USDT") for id_, name in freed)


def test_symbols_in_most_directions_win(build: Any) -> None:
    pairs = [
        build.pair("binance-okx", "ONE"),
        build.pair("binance-okx", "TWO"),
        build.pair("bybit-okx", "TWO"),
        build.pair("okx-bybit", "ALSO"),
    ]
    found = placed(judge(pairs, {}, build.settings(), None), 2, None)
    assert list(found.ids) == ["TWO-USDT", "ALSO-USDT"]
    assert found.over == [("ONE-USDT", 1)]
    assert found.resting == []


def test_among_equals_those_that_hold_a_place_keep_it(build: Any) -> None:
    pairs = [build.pair("binance-okx", "ONE"), build.pair("okx-bybit", "ALSO")]
    found = placed(judge(pairs, {}, build.settings(), None), 1, build.tables({"ONE": 0}))
    assert found.ids == {"ONE-USDT": 0}
    assert found.over == [("ALSO-USDT", 1)]


def test_an_id_rests_for_one_generation_before_it_is_given_again(build: Any) -> None:
    before = build.tables({"A": 0, "B": 1})
    ids, freed = assign_ids(["B-USDT", "NEW-USDT"], 2, before)
    assert ids == {"B-USDT": 1}, "nothing stands under 0 now"
    assert freed == [(0, "A-USDT")]
    then = build.tables({"B": 1}, freed=freed_rows(freed))
    assert assign_ids(["B-USDT", "NEW-USDT"], 2, then)[0] == {"B-USDT": 1, "NEW-USDT": 0}
    assert assign_ids(["A-USDT", "B-USDT"], 2, before)[0] == {"A-USDT": 0, "B-USDT": 1}


def test_who_waits_for_an_id_is_told_apart_from_who_has_no_room(build: Any) -> None:
    pairs = [build.pair("binance-okx", name) for name in ("AAA", "NEW", "ZZZ")]
    pairs.append(build.pair("okx-bybit", "NEW"))
    verdicts = judge(pairs, {}, build.settings(), None)
    found = placed(verdicts, 2, build.tables({"AAA": 0, "ZZZ": 1}))
    assert found.ids == {"AAA-USDT": 0}
    assert found.resting == [("NEW-USDT", 2)]
    assert found.over == [("ZZZ-USDT", 1)]
    assert found.freed == [(1, "ZZZ-USDT")]


def test_ids_begin_at_zero_and_stay_while_the_symbol_stays(build: Any) -> None:
    ids, freed = assign_ids(["A-USDT", "B-USDT", "C-USDT"], 10, None)
    assert ids == {"A-USDT": 0, "B-USDT": 1, "C-USDT": 2}
    assert freed == []
    ids, freed = assign_ids(["D-USDT", "C-USDT", "A-USDT"], 10, build.tables({"A": 0, "C": 2}))
    assert ids == {"A-USDT": 0, "C-USDT": 2, "D-USDT": 3}


def test_a_freed_id_waits_until_all_others_were_used(build: Any) -> None:
    before = build.tables({"A": 0, "B": 1})
    ids, freed = assign_ids(["B-USDT", "C-USDT"], 4, before)
    assert ids == {"B-USDT": 1, "C-USDT": 2}
    assert freed == [(0, "A-USDT")]
    then = build.tables({"B": 1, "C": 2}, freed=freed_rows(freed))
    ids, freed = assign_ids(["C-USDT", "D-USDT"], 4, then)
    assert ids == {"C-USDT": 2, "D-USDT": 3}
    assert freed == [(0, "A-USDT"), (1, "B-USDT")]
    then = build.tables({"C": 2, "D": 3}, freed=freed_rows(freed))
    ids, freed = assign_ids(["C-USDT", "D-USDT", "E-USDT"], 4, then)
    assert ids == {"C-USDT": 2, "D-USDT": 3, "E-USDT": 0}
    assert freed == [(1, "B-USDT")]


def test_a_symbol_that_comes_back_gets_its_old_id_while_it_is_free(build: Any) -> None:
    before = build.tables({"B": 1}, freed=freed_rows([(0, "A-USDT")]))
    ids, freed = assign_ids(["A-USDT", "B-USDT", "C-USDT"], 10, before)
    assert ids == {"A-USDT": 0, "B-USDT": 1, "C-USDT": 2}
    assert freed == []


def test_ids_beyond_a_smaller_store_are_given_anew(build: Any) -> None:
    ids, freed = assign_ids(["A-USDT", "B-USDT"], 4, build.tables({"A": 9, "B": 2}))
    assert ids == {"B-USDT": 2, "A-USDT": 3}
    assert freed == []


def test_over_many_runs_ids_are_unique_in_range_and_stable(build: Any) -> None:
    seed = bed.seed()
    chance = random.Random(seed)
    names = [f"C{number}" for number in range(40)]
    previous: Tables | None = None
    for _ in range(200):
        wanted = chance.sample(names, chance.randint(1, 16))
        ids, freed = assign_ids([f"{name}-USDT" for name in wanted], 16, previous)
        assert set(ids) <= {f"{name}-USDT" for name in wanted}
        everything = [*ids.values(), *(id_ for id_, _ in freed)]
        assert len(set(everything)) == len(everything)
        assert all(0 <= id_ < 16 for id_ in everything)
        if previous is not None:
            held = {row.symbol: row.symbol_id for row in previous.symbols}
            assert all(ids[name] == held[name] for name in ids if name in held)
            left = {id_: name for name, id_ in held.items() if name not in ids}
            assert not left.keys() & ids.values(), "an id rests for a generation"
            if len(ids) < len(wanted):
                assert len(ids) + len(left) == 16, "every id is in use or rests"
        coins = {name.removesuffix("-USDT"): id_ for name, id_ in ids.items()}
        previous = build.tables(coins, freed=freed_rows(freed))


def test_tables_hold_what_was_judged_good_and_only_that(build: Any) -> None:
    pairs = [
        build.pair("binance-okx", "ADA"),
        build.pair("bybit-okx", "ADA"),
        build.pair("binance-okx", "AI", 1.0, 1.1),
    ]
    verdicts = judge(pairs, {}, build.settings(), None)
    answers = build.listed("okx-futures", {"ADA": 1.0})
    answers.funding = {"ADAUSDT": Funding("ADAUSDT", 1e-4, 4.0)}
    quiet = {pairs[0].spot.key}
    places = Placed({"ADA-USDT": 5}, [(1, "OLD-USDT")], [], [])
    made = tables_of(verdicts, places, [answers], quiet, (3, 99))
    assert (made.generation, made.created_wall_ns) == (3, 99)
    assert made.symbols == (SymbolRow(5, "ADA-USDT", "ADA", "USDT"),)
    assert [(row.source_id, row.symbol_id, row.quiet) for row in made.instruments] == [
        (0, 5, True),
        (2, 5, False),
        (5, 5, False),
    ]
    members = {DIRECTIONS[row.direction_id].label: row.symbol_ids for row in made.directions}
    assert len(members) == 12
    assert {label for label, ids in members.items() if ids} == {"binance-okx", "bybit-okx"}
    assert [(row.source_id, row.symbol_id, row.rate) for row in made.funding] == [(5, 5, 1e-4)]
    assert [row.symbol for row in made.quarantine] == ["AI-USDT"]
    assert made.freed == (SymbolRow(1, "OLD-USDT", "OLD", "USDT"),)

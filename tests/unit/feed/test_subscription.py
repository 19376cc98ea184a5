"""What was asked, what was answered, what is asked again and when."""

import itertools
import json
import random
from random import Random

import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import Ack, Adapter, RefusalKind, Refused
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed.budget import Budget
from spread_scanner.feed.subscription import HALVINGS_MAX, REPEATS_MAX, Subscription
from spread_scanner.runtime.patience import Pauses, SymbolPatience
from spread_scanner.schema.enums import SOURCE_BY_LABEL

SETTINGS = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test")
NAMES = [f"C{number}USDT" for number in range(25)]
HOUR_NS = 3_600 * NS_PER_S


def adapter(label: str) -> Adapter:
    return adapter_of(SOURCE_BY_LABEL[label], SETTINGS)


class Talk:
    """A subscription and its time. `send` says everything that may be said within `for_s`."""

    def __init__(self, label: str, names: list[str]) -> None:
        self.subscription = Subscription(adapter(label), names, rand=lambda: 0.0)
        self.now_ns = NS_PER_S

    def send(self, for_s: float = 4.0) -> list[str]:
        texts = []
        until_ns = self.now_ns + int(for_s * NS_PER_S)
        while self.now_ns <= until_ns:
            text = self.subscription.next_request(self.now_ns)
            if text is not None:
                texts.append(text)
            wait_ns = self.subscription.wait_ns(self.now_ns)
            if wait_ns is None or self.now_ns + wait_ns > until_ns:
                break
            self.now_ns += wait_ns
        return texts

    def after(self, seconds: float) -> list[str]:
        self.now_ns += int(seconds * NS_PER_S)
        return self.send()

    def answer(self, *events: Ack | Refused) -> tuple[str, ...]:
        refused: tuple[str, ...] = ()
        for event in events:
            refused += self.subscription.answered(event, self.now_ns)
        return refused


def symbol_refused(request: str, *names: str) -> Refused:
    return Refused(request, names, "60018", "no such thing", RefusalKind.SYMBOL)


def busy(request: str = "") -> Refused:
    return Refused(request, (), "60014", "Requests too frequent.", RefusalKind.BUSY)


def full(request: str = "") -> Refused:
    return Refused(request, (), "", "args length exceeds 21000", RefusalKind.FULL)


def unknown(request: str = "") -> Refused:
    return Refused(request, (), "", "no")


def topics(text: str) -> list[str]:
    """The symbols of a request of Bybit, OKX or MEXC futures."""
    request = json.loads(text)
    if "param" in request:
        return [request["param"]["symbol"]]
    args = request["args"]
    return [arg["instId"] if isinstance(arg, dict) else arg.rpartition(".")[2] for arg in args]


def subscribes(text: str) -> bool:
    request = json.loads(text)
    return not str(request.get("op", request.get("method"))).startswith("unsub")


def number(text: str) -> str:
    request = json.loads(text)
    return str(request.get("req_id", request.get("id")))


def test_everything_is_asked_for_once_in_batches() -> None:
    talk = Talk("bybit-spot", NAMES)

    batches = [topics(text) for text in talk.send()]

    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [symbol for batch in batches for symbol in batch] == NAMES
    assert not talk.subscription.settled


def test_an_acknowledgement_by_id_settles_its_request() -> None:
    talk = Talk("bybit-spot", NAMES[:12])
    first, second = (number(text) for text in talk.send())

    talk.answer(Ack(second))
    assert talk.subscription.acknowledged == set(NAMES[10:12])
    talk.answer(Ack(first))
    assert talk.subscription.acknowledged == set(NAMES[:12])
    assert talk.subscription.settled


def test_acknowledgements_that_name_symbols_settle_one_by_one() -> None:
    talk = Talk("okx-spot", NAMES[:3])
    talk.send()

    talk.answer(Ack("1", (NAMES[0],)))
    assert talk.answer(symbol_refused("1", NAMES[1])) == (NAMES[1],)
    assert not talk.subscription.settled
    talk.answer(Ack("1", (NAMES[2],)))

    assert talk.subscription.acknowledged == {NAMES[0], NAMES[2]}
    assert list(talk.subscription.refused) == [NAMES[1]]
    assert talk.subscription.settled
    assert talk.send() == []


def test_who_was_refused_along_with_a_bad_topic_is_asked_for_again_at_once() -> None:
    talk = Talk("bybit-spot", NAMES[:10])
    talk.send()

    assert talk.answer(symbol_refused("1", NAMES[4])) == (NAMES[4],)

    (again,) = talk.send()
    assert topics(again) == [name for name in NAMES[:10] if name != NAMES[4]]


def test_what_is_there_already_undoes_the_request_for_the_others_only() -> None:
    talk = Talk("bybit-spot", NAMES[:3])
    talk.send()

    talk.answer(Ack("1", (NAMES[1],), True))

    assert talk.subscription.acknowledged == {NAMES[1]}
    assert [topics(text) for text in talk.send()] == [[NAMES[0], NAMES[2]]]


@pytest.mark.parametrize("seed", range(10))
def test_a_refusal_that_names_nobody_is_halved_until_the_culprits_stand_alone(seed: int) -> None:
    rng = random.Random(seed)
    bad = set(rng.sample(NAMES, rng.randint(1, 4)))
    talk = Talk("bybit-futures", NAMES)
    dropped: set[str] = set()

    while texts := talk.send():
        for text in texts:
            failed = bad & set(topics(text))
            dropped |= set(talk.answer(unknown(number(text)) if failed else Ack(number(text))))

    assert dropped == set(talk.subscription.refused) == bad
    assert talk.subscription.acknowledged == set(NAMES) - bad
    assert not talk.subscription.useless


def test_an_exchange_that_refuses_everything_is_found_out_and_asked_slowly() -> None:
    talk = Talk("bybit-futures", [f"X{n}USDT" for n in range(500)])
    sent = 0

    while not talk.subscription.useless:
        for text in talk.send():
            sent += 1
            talk.answer(unknown(number(text)))

    assert sent <= 4 * HALVINGS_MAX
    assert talk.subscription.refusal == "no"


# --- refusals of symbols


def test_a_refused_symbol_is_asked_again_after_1_5_and_15_minutes_for_ever() -> None:
    talk = Talk("okx-spot", NAMES[:2])
    talk.send()
    talk.answer(Ack("1", (NAMES[1],)), symbol_refused("1", NAMES[0]))

    for pause_s in (60, 300, 900, 900, 900):
        assert talk.after(pause_s - 1) == []
        (text,) = talk.after(2)
        assert topics(text) == [NAMES[0]]
        assert talk.answer(symbol_refused(number(text), NAMES[0])) == ()  # as before
        assert list(talk.subscription.refused) == [NAMES[0]]

    (text,) = talk.after(901)
    talk.answer(Ack(number(text), (NAMES[0],)))
    assert not talk.subscription.refused
    assert talk.subscription.acknowledged == set(NAMES[:2])


def test_who_names_a_refused_symbol_anew_has_it_asked_for_at_once() -> None:
    talk = Talk("okx-spot", NAMES[:1])
    talk.send()
    talk.answer(symbol_refused("1", NAMES[0]))
    assert talk.send() == []

    talk.subscription.ask_at_once(talk.now_ns)

    (text,) = talk.send()
    assert topics(text) == NAMES[:1]


def test_a_refused_symbol_that_quotes_is_refused_no_more() -> None:
    talk = Talk("okx-spot", NAMES[:2])
    talk.send()
    talk.answer(symbol_refused("1", NAMES[0]))

    talk.subscription.quoted([NAMES[0]])

    assert not talk.subscription.refused
    assert talk.after(61) == [talk.subscription._adapter.subscribe([NAMES[1]], 2)]  # unanswered


# --- errors that blame nobody


def test_a_rate_limit_costs_no_symbol_and_is_waited_out() -> None:
    talk = Talk("okx-futures", NAMES[:3])
    sent_s = []

    for _ in range(4):
        (text,) = talk.send(70)
        sent_s.append(talk.now_ns / NS_PER_S)
        assert topics(text) == NAMES[:3]
        assert talk.answer(busy()) == ()

    assert [b - a for a, b in itertools.pairwise(sent_s)] == [1.0, 2.0, 4.0]
    assert not talk.subscription.refused
    (text,) = talk.send(70)
    talk.answer(*[Ack(number(text), (name,)) for name in NAMES[:3]])
    assert talk.subscription.settled


def test_too_frequent_of_a_source_without_ids_drops_nobody() -> None:
    talk = Talk("mexc-futures", ["BTC_USDT", "ETH_USDT"])
    talk.send()
    (event,) = adapter("mexc-futures").parse(
        b'{"channel":"rs.error","data":"Requests are too frequent"}'
    )
    assert isinstance(event, Refused)

    assert talk.answer(event) == ()
    assert talk.send(0.9) == []

    assert [topics(text) for text in talk.send()] == [["BTC_USDT"], ["ETH_USDT"]]


def test_a_burst_of_busy_answers_counts_as_one() -> None:
    talk = Talk("bybit-spot", NAMES)
    ids = [number(text) for text in talk.send()]

    talk.answer(*map(busy, ids))

    assert talk.send(0.9) == []
    assert len(talk.send(1.5)) == 3


def test_a_nameless_error_repeats_what_is_out_one_by_one_and_convicts_nobody() -> None:
    talk = Talk("bybit-spot", NAMES[:20])
    talk.send()

    assert talk.answer(unknown()) == ()
    (alone,) = talk.send()  # the second waits until this one is answered
    assert topics(alone) == NAMES[:10]
    assert talk.answer(unknown()) == ()  # it can only be to this one
    (half,) = talk.send()
    assert topics(half) == NAMES[:5]
    talk.answer(Ack(number(half)))
    (other,) = talk.send()
    assert topics(other) == NAMES[5:10]
    assert not talk.subscription.refused


def test_a_nameless_error_never_convicts_the_last_one_left() -> None:
    talk = Talk("mexc-futures", ["BTC_USDT"])

    for _ in range(10):
        talk.send(1_000)
        assert talk.answer(unknown()) == ()

    assert not talk.subscription.refused
    assert talk.send(1_000)


# --- no answer


def test_a_request_without_an_answer_is_repeated_soon_and_then_slowly() -> None:
    talk = Talk("okx-spot", NAMES[:2])
    sent_s = []

    for _ in range(REPEATS_MAX + 3):
        while not talk.send(0.0):
            talk.now_ns += NS_PER_S
        sent_s.append(talk.now_ns // NS_PER_S)

    pauses = [b - a for a, b in itertools.pairwise(sent_s)]
    assert pauses[: REPEATS_MAX - 1] == [5 * 2**n for n in range(REPEATS_MAX - 1)]
    assert pauses[REPEATS_MAX - 1 :] == [80 + 60, 160 + 300, 160 + 900]


def test_one_lost_request_among_answers_that_name_nobody_makes_all_that_do_not_quote_doubted() -> (
    None
):
    talk = Talk("mexc-futures", ["LOST_USDT", "B_USDT", "C_USDT"])
    subscription = talk.subscription
    talk.send()
    talk.answer(Ack("", (), True), Ack("", (), True))  # to the two others
    subscription.quoted(["B_USDT", "C_USDT"])
    assert subscription.acknowledged == {"LOST_USDT", "B_USDT", "C_USDT"}
    assert subscription.doubted("LOST_USDT")
    assert not subscription.doubted("B_USDT")

    (again,) = talk.after(5.0)  # nothing more is awaited, of anybody
    assert (subscribes(again), topics(again)) == (False, ["LOST_USDT"])
    talk.answer(Ack("", (), False))
    assert [topics(text) for text in talk.send()] == [["LOST_USDT"]]
    talk.answer(Ack("", (), True))
    assert subscription.acknowledged == {"LOST_USDT", "B_USDT", "C_USDT"}
    assert not subscription.doubted("LOST_USDT")
    assert subscription.settled


def test_who_is_never_answered_keeps_nobody_else_waiting_after_a_nameless_error() -> None:
    """What goes alone goes alone for as long as an answer may take, however often it was in vain:
    the growing pause between two tries is the symbol's own.
    """
    names = ["A_USDT", "B_USDT", "C_USDT"]
    talk = Talk("mexc-futures", names)
    asked: dict[str, list[int]] = {}

    def live(seconds: int) -> None:
        for _ in range(seconds):
            talk.now_ns += NS_PER_S
            while (text := talk.subscription.next_request(talk.now_ns)) is not None:
                asked.setdefault(topics(text)[0], []).append(talk.now_ns // NS_PER_S)

    while len(asked.get(names[-1], ())) <= REPEATS_MAX:
        live(1)
    asked.clear()
    assert talk.answer(unknown()) == ()
    begun_s = talk.now_ns // NS_PER_S
    talk.subscription.join(["D_USDT"])

    live(60)

    assert set(asked) == {*names, "D_USDT"}
    assert max(times[0] for times in asked.values()) - begun_s <= 5 * len(names) + 5
    assert asked["D_USDT"][0] - begun_s <= 5


def test_too_often_is_heeded_when_it_is_said_late() -> None:
    """Nameless, and after the time in which an answer is waited for."""
    talk = Talk("mexc-futures", ["A_USDT"])
    talk.send()
    talk.now_ns += 5 * NS_PER_S
    talk.subscription._expire(talk.now_ns)
    assert not talk.subscription.asking

    talk.answer(busy())

    assert talk.send(0.9) == []
    assert len(talk.send(1.0)) == 1


def test_an_answer_that_comes_late_is_understood() -> None:
    talk = Talk("bybit-spot", NAMES[:10])
    (first,) = talk.send()
    (second,) = talk.after(6)
    assert topics(second) == topics(first)

    talk.answer(Ack(number(first)))

    assert talk.subscription.acknowledged == set(NAMES[:10])
    assert talk.after(60) == []


def test_a_quote_is_an_answer() -> None:
    talk = Talk("okx-spot", NAMES[:2])
    talk.send()

    talk.subscription.quoted([NAMES[0]])

    (again,) = talk.after(6)
    assert topics(again) == [NAMES[1]]
    assert list(talk.subscription.unproven) == [NAMES[1]]


def test_answers_without_an_id_belong_to_the_oldest_request_of_their_kind() -> None:
    talk = Talk("mexc-futures", ["A_USDT", "B_USDT", "C_USDT"])
    talk.send()

    talk.answer(Ack("", (), True))
    assert talk.subscription.acknowledged == {"A_USDT"}
    talk.subscription.leave(["A_USDT"])
    talk.send()
    talk.answer(Ack("", (), False))
    assert talk.answer(symbol_refused("", "C_USDT")) == ("C_USDT",)
    talk.answer(Ack("", (), True))

    assert talk.subscription.acknowledged == {"B_USDT"}
    assert talk.subscription.settled


# --- no room


@pytest.mark.parametrize("room", [1, 7, 10, 100, 299])
def test_what_there_is_no_room_for_is_handed_back(room: int) -> None:
    names = [f"C{n}-USDT" for n in range(300)]
    talk = Talk("okx-spot", names)
    held: set[str] = set()
    sent = 0

    while texts := talk.send():
        for text in texts:
            sent += 1
            if len(held | set(topics(text))) > room:
                talk.answer(full(number(text)))
            else:
                held |= set(topics(text))
                talk.answer(*[Ack(number(text), (name,)) for name in topics(text)])

    assert len(held) == talk.subscription.capacity == room
    assert set(talk.subscription.overflow) == set(names) - held
    assert sent <= 40
    talk.subscription.leave(talk.subscription.overflow)
    assert talk.subscription.settled
    assert not talk.subscription.refused


def test_a_refused_symbol_that_there_is_no_room_for_later_is_handed_back_too() -> None:
    talk = Talk("okx-spot", NAMES[:2])
    talk.send()
    talk.answer(symbol_refused("1", NAMES[0]), Ack("1", (NAMES[1],)))
    (again,) = talk.after(61)

    talk.answer(full(number(again)))

    assert talk.subscription.overflow == NAMES[:1]
    assert not talk.subscription.refused


def test_that_a_connection_is_full_is_believed_for_1_5_and_15_minutes() -> None:
    """Elsewhere somebody may have left; a connection that never ends would not find out."""
    talk = Talk("okx-spot", NAMES[:2])
    (first,) = talk.send()
    talk.answer(*[Ack(number(first), (name,)) for name in NAMES[:2]])

    for minutes in (1, 5, 15, 15):
        talk.subscription.join(["C99-USDT"])
        (more,) = talk.after(1)
        talk.answer(full(number(more)))
        assert talk.subscription.overflow == ["C99-USDT"]
        talk.subscription.leave(["C99-USDT"])
        talk.after(minutes * 60 - 1)
        assert talk.subscription.capacity == 2
        talk.after(2)
        assert talk.subscription.capacity is None
    assert talk.subscription.acknowledged == set(NAMES[:2])


def test_a_request_that_is_too_long_is_cut_and_nothing_is_handed_back() -> None:
    talk = Talk("bybit-futures", NAMES)

    while texts := talk.send():
        for text in texts:
            too_long = len(topics(text)) > 10
            talk.answer(full(number(text)) if too_long else Ack(number(text)))

    assert talk.subscription.acknowledged == set(NAMES)
    assert talk.subscription.overflow == []
    assert talk.subscription.capacity is None


# --- coming and going


def test_leaving_unsubscribes_but_not_what_was_refused() -> None:
    talk = Talk("okx-spot", NAMES[:4])
    talk.send()
    talk.answer(symbol_refused("1", NAMES[0]), Ack("1", (NAMES[1],)))

    talk.subscription.leave(NAMES[:2])

    (text,) = talk.send()
    assert not subscribes(text)
    assert topics(text) == [NAMES[1]]
    assert list(talk.subscription.wanted) == NAMES[2:4]
    talk.answer(Ack("2", (NAMES[1],), False))
    assert talk.subscription.acknowledged == set()


def test_a_symbol_that_leaves_before_it_was_asked_for_is_not_spoken_of() -> None:
    talk = Talk("okx-spot", NAMES[:3])

    talk.subscription.leave(NAMES[:1])

    (text,) = talk.send()
    assert topics(text) == NAMES[1:3]


def test_one_that_comes_back_while_it_is_unsubscribed_is_asked_for_after_that() -> None:
    talk = Talk("okx-spot", NAMES[:1])
    talk.send()
    talk.answer(Ack("1", (NAMES[0],)))
    talk.subscription.leave(NAMES[:1])
    (gone,) = talk.send(1.0)

    talk.subscription.join(NAMES[:1])

    assert talk.send() == []
    talk.answer(Ack(number(gone), (NAMES[0],), False))
    (back,) = talk.send()
    assert not subscribes(gone)
    assert subscribes(back)


def test_asking_again_unsubscribes_first_and_waits_for_that() -> None:
    talk = Talk("okx-spot", NAMES[:3])
    talk.send()
    talk.answer(*[Ack("1", (name,)) for name in NAMES[:3]])

    talk.subscription.ask_again([NAMES[1]])

    (gone,) = talk.send()
    assert not subscribes(gone)
    assert topics(gone) == [NAMES[1]]
    assert talk.subscription.acknowledged == {NAMES[0], NAMES[2]}
    talk.answer(Ack(number(gone), (NAMES[1],), False))
    (back,) = talk.after(4)
    assert subscribes(back)
    assert topics(back) == [NAMES[1]]


def test_a_lost_unsubscribing_does_not_stand_in_the_way_of_asking_again() -> None:
    talk = Talk("okx-spot", NAMES[:1])
    talk.send()
    talk.answer(Ack("1", (NAMES[0],)))

    talk.subscription.ask_again(NAMES[:1])

    assert [subscribes(text) for text in talk.send() + talk.after(6)] == [False, True]


def test_an_acknowledgement_from_before_the_unsubscribing_counts_for_nothing() -> None:
    talk = Talk("bybit-spot", NAMES[:1])
    (first,) = talk.send()
    talk.subscription.leave(NAMES[:1])
    assert talk.send() == []  # what is under way is waited for
    (gone,) = talk.after(6)
    assert not subscribes(gone)
    talk.subscription.join(NAMES[:1])

    talk.answer(Ack(number(first)))

    assert talk.subscription.acknowledged == set()


def test_asking_again_takes_a_quarter_of_what_may_be_asked() -> None:
    talk = Talk("okx-spot", [f"C{n}-USDT" for n in range(300)])
    names = list(talk.subscription.wanted)
    for text in talk.send():
        talk.answer(*[Ack(number(text), (name,)) for name in topics(text)])
    sent_ns = []

    while talk.now_ns < HOUR_NS // 2:
        if talk.subscription.idle(talk.now_ns):
            talk.subscription.ask_again(names)
        for text in talk.send(0.0):
            sent_ns.append(talk.now_ns)
            talk.answer(Ack(number(text), (), subscribes(text)))
        talk.now_ns += NS_PER_S

    assert len(sent_ns) == 480 // 4
    # An unsubscribing is charged for the subscribing behind it, which does not wait.
    gone_ns, back_ns = sent_ns[::2], sent_ns[1::2]
    assert min(b - a for a, b in itertools.pairwise(gone_ns)) >= 8 * NS_PER_S
    assert max(b - a for a, b in zip(gone_ns, back_ns, strict=True)) == NS_PER_S


def test_what_is_unsubscribed_to_be_asked_for_again_is_so_at_once_however_busy_it_was() -> None:
    """Nothing is sent of it in between, and its quote is still believed."""
    talk = Talk("okx-spot", NAMES[:1])
    talk.send()
    talk.answer(Ack("1", (NAMES[0],)))
    talk.subscription.ask_again(NAMES[:1])
    for _ in range(3):
        (gone,) = talk.send(60.0)
        talk.answer(busy(number(gone)))
    (gone,) = talk.send(60.0)
    talk.answer(Ack(number(gone), (NAMES[0],), False))

    (back,) = talk.send(8.0)  # its pace, as slow as the exchange wanted it

    assert (subscribes(gone), subscribes(back)) == (False, True)


def answered_of(way: str, back: str) -> list[Ack | Refused]:
    """What an exchange says to a request for three symbols, so that not all of them are given."""
    answers: dict[str, list[Ack | Refused]] = {
        "one is no more": [symbol_refused(number(back), topics(back)[0])],
        "one is there": [Ack(number(back), (topics(back)[0],))],
        "nobody is named": [unknown(number(back))],
        "no room for all": [full(number(back))],
        "no answer": [],
    }
    return answers[way]


@pytest.mark.parametrize(
    ("way", "left"),
    [
        ("one is no more", [2]),
        ("one is there", [2]),
        ("nobody is named", [1, 2]),
        ("no room for all", [1, 2]),
        ("no answer", [3]),
    ],
)
def test_nor_does_what_was_asked_for_again_in_vain_wait_for_the_quarter_but_later_ones_do(
    way: str, left: list[int]
) -> None:
    names = [f"C{n}-USDT" for n in range(4)]
    talk = Talk("okx-spot", names)
    subscription = talk.subscription
    subscription._adapter.limits = subscription._adapter.limits._replace(whole_request_refused=True)
    (text,) = talk.send()
    talk.answer(*[Ack(number(text), (name,)) for name in names])
    subscription.ask_again(names[:3])
    (gone,) = talk.send()
    talk.answer(*[Ack(number(gone), (name,), False) for name in topics(gone)])
    (back,) = talk.send()
    talk.answer(*answered_of(way, back))
    if way == "no answer":
        talk.now_ns += subscription.pauses.answer_ns
    subscription.ask_again(names[3:])

    # One a second; the quarter is free eight seconds after the unsubscribing.
    rest = talk.send(len(left) + 0.5)

    assert [len(topics(text)) for text in rest if subscribes(text)] == left
    assert all(subscribes(text) for text in rest)
    wait_ns = subscription._budget.wait_ns(talk.now_ns, again=True)
    assert wait_ns > (8 + 4 * len(left) - 9) * NS_PER_S, "what was not waited for is paid for"


@pytest.mark.parametrize("named", [True, False])
def test_what_was_asked_for_again_too_soon_is_charged_to_the_quarter_once_more(named: bool) -> None:
    talk = Talk("okx-spot", ["A-USDT"])
    (text,) = talk.send()
    talk.answer(Ack(number(text), ("A-USDT",)))
    talk.subscription.ask_again(["A-USDT"])
    (gone,) = talk.send()
    talk.answer(Ack(number(gone), ("A-USDT",), False))
    (back,) = talk.send()
    budget = talk.subscription._budget
    before_ns = budget.wait_ns(talk.now_ns, again=True)
    talk.answer(busy(number(back)) if named else busy())

    assert budget.wait_ns(talk.now_ns, again=True) >= before_ns + 4 * NS_PER_S
    (once_more,) = talk.send(2.5)
    assert subscribes(once_more), "and does not wait for it"


def test_answers_to_nothing_are_survived() -> None:
    talk = Talk("okx-spot", [])

    assert talk.answer(Ack("17"), symbol_refused("17", "NOPE"), unknown(), busy(), full("3")) == ()
    assert talk.send() == []


def test_pauses_are_capped() -> None:
    minutes = [Pauses().again_ns(times) // (60 * NS_PER_S) for times in range(4)]

    assert minutes == [1, 5, 15, 15]


def test_pauses_differ_by_chance() -> None:
    """What was told to wait together does not come back together: after "too busy" never too early,
    else never too late.
    """
    dice = Random(7)
    minutes, moments = set[int](), set[int]()
    for _ in range(50):
        talk = Subscription(adapter("okx-spot"), NAMES[:1], rand=dice.random)
        assert talk.next_request(0) is not None
        talk.answered(Refused("1", (NAMES[0],), "", "no", RefusalKind.SYMBOL), 0)
        minutes.add(talk.refused[NAMES[0]].due_ns)
        moments.add(Budget(adapter("okx-spot").limits, 60 * NS_PER_S, dice.random).busy(0, 0))
    patience: SymbolPatience[str] = SymbolPatience(dice.random)
    for number in range(50):
        patience.asked(f"X{number}", 0, Pauses())
    silent = {patience.due_ns(f"X{number}", Pauses()) for number in range(50)}

    for found, least_s, most_s in ((minutes, 54, 60), (silent, 54, 60), (moments, 1, 1.5)):
        assert len(found) == 50
        assert min(found) >= least_s * NS_PER_S
        assert max(found) <= most_s * NS_PER_S


def test_who_is_never_answered_keeps_nobody_else_from_being_asked_again() -> None:
    """MEXC acknowledges neither by id nor by symbol what it does not know of."""
    talk = Talk("mexc-spot", ["AUSDT", "BUSDT"])
    subscription = talk.subscription
    talk.send()
    subscription.quoted(["AUSDT"])
    kept_waiting = 0
    for _ in range(3_600):
        talk.now_ns += NS_PER_S
        while subscription.next_request(talk.now_ns) is not None:
            pass
        kept_waiting += not subscription.idle(talk.now_ns)
    assert kept_waiting <= 10
    subscription.ask_again(["AUSDT"])
    assert "AUSDT" in talk.send()[0]

"""What was asked, what was answered, and who is dropped."""

import json
import random

import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import Ack, Adapter, Refused
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed.subscription import HALVINGS_MAX, Subscription
from spread_scanner.schema.enums import SOURCE_BY_LABEL

SETTINGS = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test")
NAMES = [f"C{number}USDT" for number in range(25)]


def adapter(label: str) -> Adapter:
    return adapter_of(SOURCE_BY_LABEL[label], SETTINGS)


def drain(subscription: Subscription) -> list[str]:
    texts = []
    while (text := subscription.next_request()) is not None:
        texts.append(text)
    return texts


def topics(text: str) -> list[str]:
    return [topic.rpartition(".")[2] for topic in json.loads(text)["args"]]


def test_everything_is_asked_for_once_in_batches() -> None:
    subscription = Subscription(adapter("bybit-spot"), NAMES)

    batches = [topics(text) for text in drain(subscription)]

    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [symbol for batch in batches for symbol in batch] == NAMES
    assert not subscription.settled


def test_an_acknowledgement_by_id_settles_its_request() -> None:
    subscription = Subscription(adapter("bybit-spot"), NAMES[:12])
    first, second = (json.loads(text)["req_id"] for text in drain(subscription))

    assert subscription.answered(Ack(second)) == ()
    assert subscription.acknowledged == set(NAMES[10:12])
    subscription.answered(Ack(first))
    assert subscription.acknowledged == set(NAMES[:12])
    assert subscription.settled


def test_acknowledgements_that_name_symbols_settle_one_by_one() -> None:
    subscription = Subscription(adapter("okx-spot"), NAMES[:3])
    drain(subscription)

    subscription.answered(Ack("1", (NAMES[0],)))
    assert subscription.answered(Refused("1", (NAMES[1],), "60018", "no")) == (NAMES[1],)
    assert not subscription.settled
    subscription.answered(Ack("1", (NAMES[2],)))

    assert subscription.acknowledged == {NAMES[0], NAMES[2]}
    assert subscription.refused == {NAMES[1]}
    assert subscription.settled
    assert drain(subscription) == []


def test_who_was_refused_along_with_a_bad_topic_is_asked_for_again_at_once() -> None:
    subscription = Subscription(adapter("bybit-spot"), NAMES[:10])
    drain(subscription)

    refused = subscription.answered(Refused("1", (NAMES[4],), "", "handler not found"))

    assert refused == (NAMES[4],)
    (again,) = drain(subscription)
    assert topics(again) == [name for name in NAMES[:10] if name != NAMES[4]]


@pytest.mark.parametrize("seed", range(10))
def test_a_refusal_that_names_nobody_is_halved_until_the_culprits_stand_alone(seed: int) -> None:
    rng = random.Random(seed)
    bad = set(rng.sample(NAMES, rng.randint(1, 4)))
    subscription = Subscription(adapter("bybit-futures"), NAMES)
    dropped: set[str] = set()

    while (text := subscription.next_request()) is not None:
        request = json.loads(text)["req_id"]
        if bad & set(topics(text)):
            dropped |= set(subscription.answered(Refused(request, (), "", "no")))
        else:
            subscription.answered(Ack(request))

    assert dropped == subscription.refused == bad
    assert subscription.acknowledged == set(NAMES) - bad
    assert not subscription.useless


def test_an_exchange_that_refuses_everything_is_found_out() -> None:
    names = [f"X{number}USDT" for number in range(500)]
    subscription = Subscription(adapter("bybit-futures"), names)
    sent = 0

    while not subscription.useless and (text := subscription.next_request()) is not None:
        sent += 1
        subscription.answered(Refused(json.loads(text)["req_id"], (), "", "busy"))

    assert subscription.useless
    assert sent <= 4 * HALVINGS_MAX


def test_answers_without_an_id_belong_to_the_oldest_request() -> None:
    subscription = Subscription(adapter("mexc-futures"), ["A_USDT", "B_USDT", "C_USDT"])
    drain(subscription)

    subscription.answered(Ack(""))
    assert subscription.acknowledged == {"A_USDT"}
    assert subscription.answered(Refused("", ("C_USDT",), "rs.error", "no")) == ("C_USDT",)
    subscription.answered(Ack(""))

    assert subscription.acknowledged == {"A_USDT", "B_USDT"}
    assert subscription.settled


def test_leaving_unsubscribes_but_not_what_was_refused() -> None:
    subscription = Subscription(adapter("okx-spot"), NAMES[:4])
    drain(subscription)
    subscription.answered(Refused("1", (NAMES[0],), "60018", "no"))
    subscription.answered(Ack("1", (NAMES[1],)))

    subscription.leave(NAMES[:2])

    (text,) = drain(subscription)
    assert json.loads(text)["op"] == "unsubscribe"
    assert [arg["instId"] for arg in json.loads(text)["args"]] == [NAMES[1]]
    assert list(subscription.wanted) == NAMES[2:4]
    subscription.answered(Ack("2", (NAMES[1],)))
    assert subscription.acknowledged == set()


def test_a_symbol_that_leaves_before_it_was_asked_for_is_not_asked_for() -> None:
    subscription = Subscription(adapter("okx-spot"), NAMES[:3])

    subscription.leave(NAMES[:1])

    first, second = drain(subscription)
    assert [arg["instId"] for arg in json.loads(first)["args"]] == NAMES[1:3]
    assert json.loads(second)["op"] == "unsubscribe"


def test_a_refused_symbol_that_quotes_is_refused_no_more() -> None:
    subscription = Subscription(adapter("okx-spot"), NAMES[:2])
    drain(subscription)
    subscription.answered(Refused("1", (NAMES[0],), "60018", "no"))

    subscription.quoted(NAMES[0])

    assert subscription.refused == set()


def test_answers_to_nothing_are_survived() -> None:
    subscription = Subscription(adapter("okx-spot"), ())

    assert subscription.answered(Ack("17")) == ()
    assert subscription.answered(Refused("17", ("NOPE",), "1", "no")) == ()
    assert subscription.answered(Refused("", (), "1", "no")) == ()

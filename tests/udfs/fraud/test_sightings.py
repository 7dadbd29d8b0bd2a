"""What an event says to a fraud rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from udfs.fraud.sightings import MAX_KEY_LENGTH, SIGNAL_MARK, Sighting, compile_look, decoded, sighting, split, tell
from udfs.rules.engine import AGGREGATE_MARK, DESTINATION_SEPARATOR, FORM_SEPARATOR, Route, RuleSet
from udfs.rules.language import Rule

SOURCE = {"ip": "10.0.0.1", "device_id": "d-1", "country": "DE"}
SIGNALS: dict[str, dict[str, Any]] = {
    "velocity": {"kind": "velocity", "by": "user", "within": "10m", "over": 3, "score": 50},
    "accounts": {"kind": "accounts", "by": "device", "within": "1h", "over": 3, "score": 50},
    "deviation": {"kind": "deviation", "amount": "$.order_placed.total", "over": 4.5, "score": 50},
    "travel": {"kind": "travel", "over": 1000, "min_km": 500, "score": 50},
    "unfamiliar": {"kind": "unfamiliar", "of": "device", "score": 50},
    "no-view": {"kind": "no-view", "score": 50},
}


def rule(kind: str = "velocity", /, event_types: tuple[str, ...] = ("order_placed",), **changes: Any) -> Rule:
    when = {"events": list(event_types), "signal": SIGNALS[kind] | changes}
    return samples.parsed(samples.rule(when=when, to=None))


def order(**envelope: Any) -> Event:
    return samples.event("order_placed", **{"user_id": "u-1", "source": SOURCE} | envelope)


def told(rule_: Rule, event: Event | None = None) -> Sighting:
    found = sighting(rule_, event or order())
    assert found is not None
    return found


def key(rule_: Rule, event: Event | None = None) -> str:
    """By what the bundle is keyed."""
    ordered, unordered = tell([compile_look(rule_)], event or order())
    (token,) = ordered + unordered
    return split(token)[0]


EXPECTED: dict[str, dict[str, Any]] = {
    "velocity": {"by": "user", "key": "u-1", "what": "orders", "window_ms": 600_000, "over": 3},
    "accounts": {"by": "device", "key": "d-1", "what": "orders", "window_ms": 3_600_000, "over": 3},
    "deviation": {
        "by": "user", "key": "u-1", "what": "orders", "window_ms": 30 * 86_400_000, "over": 4.5, "min_count": 5, "floor": 0.1,
        "amount_minor": 5_498, "currency": "USD",
    },
    "travel": {"by": "user", "key": "u-1", "what": "orders", "window_ms": 86_400_000, "over": 1000, "min_km": 500, "country": "DE"},
    "unfamiliar": {
        "by": "user", "key": "u-1", "what": "orders", "window_ms": 30 * 86_400_000, "min_count": 3, "of": "device", "thing": "d-1",
    },
    "no-view": {"by": "session", "key": "s-1", "what": "orders"},
}  # fmt: skip


@pytest.mark.parametrize("kind", SIGNALS)
def test_what_it_says(kind: str) -> None:
    found = told(rule(kind))
    assert found.part.startswith("a-rule/")
    assert found == Sighting(found.part, "a-rule", 1, kind, 50, "e-1", "s-1", samples.NOW_MS, "u-1", "o-1", **EXPECTED[kind])


def _is_utf8(text: str) -> bool:
    """Protobuf takes no lone surrogates."""
    return text.encode(errors="replace").decode() == text


@settings(derandomize=True, database=None, deadline=None)
@given(st.text(max_size=200).filter(_is_utf8), st.text(max_size=20).filter(_is_utf8))
def test_texts_come_back_as_they_were_and_a_bundle_holds_no_separator(device: str, user: str) -> None:
    event = order(event_id="e;|1", user_id=user, source={"device_id": device})
    looks = [compile_look(rule(by=by)) for by in ("user", "device", "session")]
    _, tokens = tell(looks, event)
    assert len(tokens) == 1 + bool(user) + bool(device)
    for token in tokens:
        assert token.isascii()
        assert not set(DESTINATION_SEPARATOR + FORM_SEPARATOR) & set(token)
        (seen,) = decoded(split(token)[1])
        assert (seen.event_id, seen.user_id) == ("e;|1", user)
        assert seen.key == {"user": user, "device": device[:MAX_KEY_LENGTH], "session": "s-1"}[seen.by]


@pytest.mark.parametrize("changes", [{"over": 9}, {"within": "1m"}, {"score": 9}], ids=str)
def test_a_changed_limit_keeps_what_is_remembered(changes: dict[str, Any]) -> None:
    assert told(rule(**changes)).part == told(rule()).part
    assert key(rule(**changes)) == key(rule())


def test_another_rule_kind_key_or_event_type_begins_anew() -> None:
    others = [
        (rule(by="session"), order()), (rule("accounts"), order()), (rule(), order(user_id="u-2")), (rule("deviation"), order()),
        (rule(event_types=("order_placed", "order_cancelled")), order()), (rule("unfamiliar"), order()),
        (rule("unfamiliar", of="ip"), order()), (named(rule(), "b-rule"), order()),
    ]  # fmt: skip
    found = {(key(each, event), told(each, event).part) for each, event in [(rule(), order()), *others]}
    assert len(found) == 1 + len(others)


def test_keys_of_two_kinds_with_one_value_are_two_keys() -> None:
    assert key(rule(by="user"), order(user_id="x")) != key(rule(by="session"), order(session_id="x"))


def test_what_groups_by_the_same_key_travels_together() -> None:
    looks = [compile_look(rule(kind)) for kind in SIGNALS]
    ordered, unordered = tell(looks, order())
    kinds = [[seen.kind for seen in decoded(split(token)[1])] for token in unordered]
    assert kinds == [["velocity", "deviation", "travel", "unfamiliar"], ["accounts"]]
    assert [[seen.kind for seen in decoded(split(token)[1])] for token in ordered] == [["no-view"]]


def test_each_currency_has_its_own_history() -> None:
    euros = samples.order(100, "EUR")
    euros.user_id = "u-1"
    assert told(rule("deviation"), euros).part != told(rule("deviation")).part
    assert key(rule("deviation"), euros) == key(rule("deviation"))


WITHOUT = {
    "nobody signed in": (rule(), order(user_id="")),
    "accounts of nobody": (rule("accounts"), order(user_id="")),
    "no device": (rule("accounts"), order(source={"ip": "10.0.0.1"})),
    "no source": (rule("travel"), samples.event("order_placed", user_id="u-1")),
    "no country": (rule("travel"), order(source={"ip": "10.0.0.1"})),
    "no amount": (rule("deviation", ("order_placed", "payment_failed")), samples.event("payment_failed", user_id="u-1")),
}


@pytest.mark.parametrize(("rule_", "event"), WITHOUT.values(), ids=WITHOUT)
def test_what_has_no_key_says_nothing(rule_: Rule, event: Event) -> None:
    assert sighting(rule_, event) is None


def test_a_long_key_is_shown_in_part_and_kept_apart() -> None:
    one, other = (told(rule(by="ip"), order(source={"ip": "1" * 500 + last})) for last in "ab")
    assert one.key == other.key == "1" * MAX_KEY_LENGTH
    assert key(rule(by="ip"), order(source={"ip": "1" * 500 + "a"})) != key(rule(by="ip"), order(source={"ip": "1" * 500 + "b"}))


# -- in a set of rules -----------------------------------------------------------------------------------------------------------


def tokens(route: Route) -> tuple[list[str], list[str]]:
    """Ordered and unordered destinations, sightings by the mark and their kind only."""
    return tuple(
        [each if each[:1] != SIGNAL_MARK else SIGNAL_MARK + decoded(split(each)[1])[0].kind for each in side.split(";") if each]
        for side in (route.ordered, route.unordered)
    )  # type: ignore[return-value]


def named(rule_: Rule, rule_id: str, **changes: Any) -> Rule:
    return rule_.model_copy(update={"id": rule_id, **changes})


def test_signals_travel_beside_the_destinations() -> None:
    rules = RuleSet([samples.parsed(samples.rule(id="z")), named(rule(), "a"), named(rule("no-view"), "b")])
    assert tokens(rules.route(order(), "order_placed")) == (["orders", "!no-view"], ["!velocity"])
    assert tokens(rules.route(samples.event("payment_failed"), "payment_failed")) == ([], [])
    assert len({SIGNAL_MARK, AGGREGATE_MARK}) == 2


@pytest.mark.parametrize("changes", [{"mode": "shadow"}, {"mode": "paused"}, {"enabled": False}], ids=str)
def test_a_rule_that_is_not_active_says_nothing(changes: dict[str, Any]) -> None:
    rules = RuleSet([named(rule(), "a", **changes)])
    assert rules.route(order(), "order_placed") == Route("", "")


def test_conditions_and_counters_are_those_of_every_rule() -> None:
    when = {"events": ["order_placed"], "all": [{"path": "$.source.country", "op": "==", "value": "DE"}], "signal": SIGNALS["velocity"]}
    rules = RuleSet([samples.parsed(samples.rule(when=when, to=None))])
    assert rules.route(order(), "order_placed").unordered
    assert rules.route(order(source={"country": "FR"}), "order_placed") == Route("", "")
    counters = rules.counters()["a-rule"]
    assert (counters.evaluated, counters.matched) == (2, 1)


def test_an_event_that_only_signals_look_at_is_unmatched() -> None:
    rest = samples.rule(id="rest", when={"events": ["*"], "unmatched": True})
    rules = RuleSet([rule(), samples.parsed(rest)])
    assert tokens(rules.route(order(), "order_placed")) == (["orders"], ["!velocity"])
    both = RuleSet([rule(), samples.parsed(rest), samples.parsed(samples.rule(id="z", to=[{"topic": "payments"}]))])
    assert tokens(both.route(order(), "order_placed")) == (["payments"], ["!velocity"])

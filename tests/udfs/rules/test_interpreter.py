"""Random rules on random events: the compiled rules do what the plain interpreter does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from tests.udfs.rules import interpreter
from udfs.documents import to_document
from udfs.rules.engine import RuleSet
from udfs.rules.language import EVENT_TYPES
from udfs.validation import UNKNOWN

MASK_KEY = b"a key"
REPEATABLE = settings(derandomize=True, database=None, deadline=None)
TIMES = [f"2026-09-21T14:13:{second:02}+00:00" for second in range(18, 24)]
START_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z


# -- events ---------------------------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "books", "toys", "USD", "o-1", "e-1", "visa"])
IDS = st.sampled_from([f"x-{number}" for number in range(6)])
SMALL = st.integers(-1, 3)
CURRENCIES = st.sampled_from(["USD", "USD", "EUR", "JPY", "KWD"])


def message(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """All of the fields, or some of them."""
    return st.fixed_dictionaries(fields) | st.fixed_dictionaries({}, optional=fields)


MONEY = message(amount_minor=st.sampled_from([0, 1, 2, 100, 150, 1000]), currency=CURRENCIES)
LINE = message(product_id=TEXTS, category=TEXTS, quantity=SMALL, unit_price=MONEY)
PAYLOADS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "product_viewed": message(product_id=TEXTS, category=TEXTS, price=MONEY),
    "product_added_to_cart": message(item=LINE),
    "order_placed": message(order_id=TEXTS, lines=st.lists(LINE, max_size=3), total=MONEY),
    "payment_failed": message(order_id=TEXTS, amount=MONEY, reason=TEXTS),
}


@st.composite
def typed_events(draw: st.DrawFn) -> tuple[Event, str]:
    """An event, of which anything may be unset, and its type."""
    event = Event(
        event_id=draw(IDS),
        session_id=draw(IDS),
        user_id=draw(TEXTS),
        event_time_ms=START_MS + draw(st.sampled_from([-1_000, -1, 0, 1, 1_000])),
        source=draw(st.none() | message(app=TEXTS, country=TEXTS)),
    )
    event_type = draw(st.sampled_from(["order_placed", "order_placed", "order_placed", *PAYLOADS, UNKNOWN]))
    if event_type != UNKNOWN:
        payload = getattr(event, event_type)
        payload.SetInParent()
        payload.MergeFrom(type(payload)(**draw(PAYLOADS[event_type])))
    return event, event_type


# -- rules ----------------------------------------------------------------------------------------------------------------------

SCALARS = [
    "$.event_id", "$.user_id", "$.event_time_ms", "$.source.country", "$.product_viewed.category", "$.product_viewed.price.amount_minor",
    "$.product_added_to_cart.item.quantity", "$.order_placed.order_id", "$.order_placed.total.currency", "$.payment_failed.reason",
]  # fmt: skip
MANY = [
    "$.order_placed.lines[*].category", "$.order_placed.lines[*].unit_price.currency",
    "$..category", "$..currency", "$.order_placed.lines[0].category", "$.order_placed.lines[1:].product_id",
    "$.order_placed.lines[?(@.category == 'toys')].product_id", "$.order_placed.lines[?(@.category > 1)].product_id",
    "$['user_id']", "$.*.order_id",
]  # fmt: skip
MESSAGES = ["$.source", "$.order_placed", "$.order_placed.lines[*]", "$.order_placed.lines[*].unit_price", "$..price", "$.order_placed.*"]
NUMBERS = [
    "$.order_placed.lines[*].quantity", "$.order_placed.lines[*].unit_price.amount_minor", "$..amount_minor", "$..quantity",
    "$.product_viewed.price.amount_minor", "$.order_placed.lines[?(@.quantity > 1)].quantity", "$.order_placed.lines[*].*",
]  # fmt: skip
TEXT_PATHS = st.sampled_from([*SCALARS, *MANY])
ANYTHING = st.sampled_from([*SCALARS, *MANY, *MESSAGES, *NUMBERS])
COMPARISONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
VALUES = st.one_of(TEXTS, SMALL, st.sampled_from([0.5, 1.0, 100, True, False, START_MS]))


def entries(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """All of the fields; those that begin with opt_ may be left out."""
    optional = {name.removeprefix("opt_"): strategy for name, strategy in fields.items() if name.startswith("opt_")}
    return st.fixed_dictionaries({name: each for name, each in fields.items() if not name.startswith("opt_")}, optional=optional)


LEAVES = st.one_of(
    entries(path=ANYTHING, op=COMPARISONS, value=VALUES, opt_every=st.booleans()),
    entries(path=st.sampled_from(SCALARS), op=st.just("=="), value=TEXTS),
    entries(path=ANYTHING, op=st.just("in"), value=st.lists(VALUES, min_size=1, max_size=3), opt_every=st.booleans()),
    entries(path=st.sampled_from(SCALARS), op=st.just("in"), value=st.lists(TEXTS, min_size=1, max_size=3)),
    entries(path=TEXT_PATHS | ANYTHING, op=st.just("contains"), value=st.sampled_from(["o", "-", "S", "1"]), opt_every=st.booleans()),
    entries(
        path=TEXT_PATHS | ANYTHING,
        op=st.just("matches"),
        value=st.sampled_from(["^[a-z]+$", "o+|S", "^$", "[0-9]"]),
        opt_every=st.booleans(),
    ),
    entries(path=ANYTHING, op=st.just("exists")),
    entries(
        money=st.sampled_from(["$.order_placed.total", "$.order_placed.lines[*].unit_price", "$.product_viewed.price"]),
        op=COMPARISONS,
        amount=st.sampled_from(["0", "1", "1.0", "150", "100"]),
        currency=CURRENCIES,
    ),
    entries(money=st.just("$.order_placed.total"), op=COMPARISONS, amount=st.sampled_from(["0.00", "1.5"]), currency=st.just("USD")),
    entries(path=st.sampled_from(MANY), op=st.sampled_from(["==", "!=", ">"]), value=TEXTS, every=st.just(True)),
    entries(count=ANYTHING, op=COMPARISONS, value=SMALL),
    entries(sum=st.sampled_from(NUMBERS), op=COMPARISONS, value=SMALL | st.sampled_from([1.5, 100, 1_000])),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        entries(all=st.lists(inner, min_size=1, max_size=3)),
        entries(any=st.lists(inner, min_size=1, max_size=3)),
        entries(**{"not": inner}),
    ),
    max_leaves=6,
)
DESTINATIONS = st.lists(
    entries(topic=st.sampled_from(samples.TOPICS), opt_order=st.sampled_from(["session", "none"])),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each["topic"],
)


@st.composite
def rules(draw: st.DrawFn, rule_id: str) -> dict[str, Any]:
    """Any rule but one that aggregates or changes the form of the event."""
    # Half of the rules have no conditions and half no limits, so that many match and meet in groups.
    conditions = {"opt_all": st.lists(LEAVES | CONDITIONS, min_size=1, max_size=3), "opt_any": st.lists(CONDITIONS, min_size=1, max_size=3)}
    events = st.just(["*"]) | st.lists(st.sampled_from(["*", *PAYLOADS, UNKNOWN]), min_size=1, max_size=3)
    plain = {"version": st.just(1), "to": DESTINATIONS, "opt_priority": st.integers(-1, 1)}
    plain["when"] = entries(events=events, opt_unmatched=st.booleans()) | entries(events=events, opt_not=CONDITIONS, **conditions)
    limits = {
        "opt_mode": st.sampled_from(["active", "shadow", "paused"]),
        "opt_enabled": st.booleans(),
        "opt_valid_from": st.sampled_from(TIMES[:4]),
        "opt_valid_until": st.sampled_from(TIMES[2:]),
        "opt_rollout": entries(percent=st.sampled_from([0, 33.3, 50, 100]), opt_by=st.sampled_from(["session_id", "user_id"])),
        "opt_sample": st.sampled_from([50, 75.5, 100]),
    }
    rule: dict[str, Any] = draw(entries(**plain) | entries(**plain, **limits))
    if rule.get("valid_until", TIMES[-1]) <= rule.get("valid_from", TIMES[0]):
        del rule["valid_until"]
    if draw(st.booleans()):
        rule |= {"match": "first", "group": draw(st.sampled_from(["g", "h"]))}
    return {"id": rule_id, **rule}


def rule_sets(most: int) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    """Rules by id."""
    ids = st.lists(st.sampled_from([f"r-{number}" for number in range(6)]), unique=True, max_size=most)
    return ids.flatmap(lambda found: st.fixed_dictionaries({rule_id: rules(rule_id) for rule_id in found}))


def compiled(in_force: RuleSet, event: Event, event_type: str) -> tuple[list[str], list[str]]:
    found = in_force.route(event, event_type)
    return [each for each in found.ordered.split(";") if each], [each for each in found.unordered.split(";") if each]


@pytest.mark.thorough
@settings(REPEATABLE, max_examples=400)
@given(
    rule_sets(5),
    rule_sets(3),
    st.sets(st.sampled_from([f"r-{number}" for number in range(6)])),
    st.lists(typed_events(), min_size=1, max_size=4),
)
def test_compiled_rules_do_what_the_interpreter_does(
    raw: dict[str, dict[str, Any]], changes: dict[str, dict[str, Any]], removed: set[str], events: list[tuple[Event, str]]
) -> None:
    """At first, and after each change: what does not change is not compiled again."""
    in_force = RuleSet(samples.parsed(each) for each in raw.values())
    for event, event_type in events:
        assert compiled(in_force, event, event_type) == interpreter.route(list(raw.values()), event, event_type)
    now = dict(raw)
    for rule_id in [*sorted(removed), *changes, *sorted(removed, reverse=True)]:
        if rule_id in now and rule_id in removed:
            in_force.remove(rule_id)
            del now[rule_id]
        elif rule_id in changes:
            in_force.put(samples.parsed(changes[rule_id]))
            now[rule_id] = changes[rule_id]
        for event, event_type in events:
            assert compiled(in_force, event, event_type) == interpreter.route(list(now.values()), event, event_type)


KINDS = ("==", "!=", "<", "<=", ">", ">=", "in", "contains", "matches", "exists", "every", "money", "count", "sum", "all", "any", "not")


def conditions_in(condition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The condition, and all conditions in it."""
    yield condition
    inner = [*condition.get("all", ()), *condition.get("any", ()), *([condition["not"]] if "not" in condition else [])]
    for each in inner:
        yield from conditions_in(each)


@pytest.mark.thorough
def test_a_condition_holds_as_the_interpreter_says() -> None:
    outcomes: Counter[tuple[str, bool]] = Counter()

    @settings(REPEATABLE, max_examples=2_000)
    @given(LEAVES | CONDITIONS, typed_events())
    def try_one(condition: dict[str, Any], typed: tuple[Event, str]) -> None:
        event, event_type = typed
        document = to_document(event)
        in_force = RuleSet([samples.parsed(samples.rule(when={"events": ["*"], "all": [condition]}))])
        assert bool(in_force.route(event, event_type).ordered) is interpreter.holds(condition, document)
        for each in conditions_in(condition):
            kinds = [kind for kind in KINDS if each.get(kind) or each.get("op") == kind]
            outcomes.update((kind, interpreter.holds(each, document)) for kind in kinds)

    try_one()
    rare = {f"{kind} {outcome}" for kind in KINDS for outcome in (True, False) if outcomes[kind, outcome] < 5}
    assert not rare, f"each kind is tried where it holds and where it does not: {outcomes}"


def test_every_scalar_of_the_schema_is_read_as_jsonpath_reads_it() -> None:
    paths = [*SCALARS, "$.payment_processed.card_fingerprint", "$.user_signed_in.method", "$.product_searched.results"]
    for path in paths:
        condition = {"path": path, "op": "exists"}
        in_force = RuleSet([samples.parsed(samples.rule(when={"events": ["*"], "all": [condition]}))])
        routed = [name for name, event in samples.every_event().items() if in_force.route(event, name).ordered]
        assert routed == [name for name in EVENT_TYPES if interpreter.holds(condition, to_document(samples.event(name)))]


FORM_FIELDS = ["event_id", "user_id", "source", "source.country", "order_placed", "order_placed.total", "order_placed.total.currency",
               "order_placed.lines", "product_viewed.category", "payment_failed"]  # fmt: skip
FORM_TEXTS = ["session_id", "event_id", "user_id", "source.country", "order_placed.total.currency", "product_viewed.category",
              "payment_failed.reason"]  # fmt: skip
FORMS = entries(
    topic=st.just("orders"),
    opt_key=st.sampled_from(SCALARS),
    opt_fields=st.lists(st.sampled_from(FORM_FIELDS), min_size=1, max_size=4, unique=True),
    opt_mask=st.lists(st.sampled_from(FORM_TEXTS), min_size=1, max_size=3, unique=True),
)


@settings(REPEATABLE, max_examples=settings().max_examples * 5)
@given(FORMS, typed_events())
def test_a_form_is_what_the_interpreter_makes_of_it(destination: dict[str, Any], typed: tuple[Event, str]) -> None:
    event, event_type = typed
    rule = samples.parsed(samples.rule(when={"events": ["*"]}, to=[destination]))
    before = event.SerializeToString()
    _, key, payload = [*RuleSet([rule], MASK_KEY).route(event, event_type).ordered.split("|"), "", ""][:3]
    sent = Event.FromString(bytes.fromhex(payload)) if payload or "fields" in destination else event
    wanted_key, wanted = interpreter.form(destination, to_document(event), MASK_KEY)
    assert (bytes.fromhex(key).decode(), interpreter.leaves(to_document(sent))) == (wanted_key, wanted)
    assert event.SerializeToString() == before

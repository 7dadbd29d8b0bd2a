"""Fraud alerts, checked: the signals of the rules read and evaluated in the plainest way, over the records in the order of the log.

Shares no code with the job. What it expects is exact where the order in which the job sees the events is determined: one partition of
the input and parallelism 1. Elsewhere, `check_alerts` without an expectation still finds alerts that are doubled, that name events
which never were, or whose score is not made of their reasons.

One order stays open even so: signals of sessions without a view come with the delay of the ordered path. So whether an alert has such a
reason, beside those that it must have, is not compared.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from shop.v1.events_pb2 import Event

from scripts.checker.model import FRAUD_ALERTS, Findings, Output, Problem
from scripts.checker.rules import Rule, event_as_dict, is_signal, parse_conditions
from scripts.checker.validity import Limits, check_record
from scripts.shop.ledger import Entry

_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EVIDENCE, _COUNTRIES = 10, 4
_KEYS = {
    "user": ("user_id",), "session": ("session_id",), "ip": ("source", "ip"), "device": ("source", "device_id"),
}  # fmt: skip
# Latitude and longitude of the countries that the simulated shop knows, in degrees: CIA World Factbook.
_PLACES = {
    "US": (38, -97), "DE": (51, 9), "FR": (46, 2), "GB": (54, -2), "NL": (52.5, 5.75), "PL": (52, 20), "SE": (62, 15), "DK": (56, 10),
    "IE": (53, -8), "CA": (60, -95), "BR": (-10, -55), "IN": (20, 77), "AU": (-27, 133), "ZA": (-29, 24), "JP": (36, 138),
    "AR": (-34, -64), "TH": (15, 100), "CL": (-30, -71), "ID": (-5, 120), "KE": (1, 38),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that looks for fraud; `routing` says which events it is about."""

    rule_id: str
    version: int
    routing: Rule
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fired:
    """A signal that must fire. `ordered`: it comes with the delay of the ordered path."""

    rule_id: str
    event_id: str
    subject: str
    time_ms: int
    score: int
    value: float
    evidence: tuple[str, ...]
    ordered: bool = False


@dataclass(slots=True)
class Expected:
    """All that must fire, in the order in which the job sees it; and the ids of all valid events."""

    fired: list[Fired] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)


def load_signals(directory: Path) -> list[Signal]:
    """The enabled signals of all YAML files in a directory."""
    found = []
    for path in sorted(directory.glob("*.yaml")):
        for raw in yaml.safe_load_all(path.read_text()):
            if raw and is_signal(raw) and raw.get("enabled", True) and raw.get("mode", "active") == "active":
                when = raw["when"]
                routing = Rule(raw["id"], raw["version"], frozenset(when["events"]), parse_conditions(when))
                found.append(Signal(raw["id"], raw["version"], routing, when["signal"]))
    return found


def expect_alerts(entries: Iterable[Entry], signals: Sequence[Signal], limits: Limits = Limits()) -> Expected:
    """What must fire. `entries`: in the order in which the job reads them; none of them may be late."""
    expected = Expected()
    pasts: dict[tuple[str, ...], list[Any]] = {}
    in_order: list[tuple[int, int, Event, str]] = []
    for number, entry in enumerate(entries):
        checked = check_record(entry.value, entry.timestamp_ms, limits)
        event = checked.event
        if not checked.valid or event is None or event.event_id in expected.event_ids:
            continue
        expected.event_ids.add(event.event_id)
        in_order.append((entry.timestamp_ms, number, event, checked.event_type))
        for signal in signals:
            if signal.spec["kind"] != "no-view" and signal.routing.matches(checked.event_type, event):
                expected.fired += _KINDS[signal.spec["kind"]](signal, event, checked.event_type, pasts)
    expected.fired += _without_view(sorted(in_order, key=lambda each: each[:2]), signals)
    return expected


# -- each kind ----------------------------------------------------------------------------------------------------------------------


def _velocity(signal: Signal, event: Event, kind: str, pasts: dict[tuple[str, ...], list[Any]]) -> Iterator[Fired]:
    key = _key(signal, event, kind)
    if not key:
        return
    past = pasts.setdefault((signal.rule_id, key), [])
    window_ms = _ms(signal.spec["within"])
    inside = _most_with(event, _remembered(past, event, window_ms), window_ms)
    past.append((event.event_time_ms, event.event_id))
    if len(inside) + 1 > signal.spec["over"]:
        yield _fired(signal, event, len(inside) + 1, [event_id for _, event_id in inside])


def _accounts(signal: Signal, event: Event, kind: str, pasts: dict[tuple[str, ...], list[Any]]) -> Iterator[Fired]:
    key = _key(signal, event, kind)
    if not key or not event.user_id:
        return
    past = pasts.setdefault((signal.rule_id, key), [])
    window_ms = _ms(signal.spec["within"])
    last: dict[str, tuple[int, str]] = {}
    for time_ms, event_id, user in _remembered(past, event, window_ms):
        if user != event.user_id and (user not in last or last[user][0] <= time_ms):
            last[user] = (time_ms, event_id)
    inside = _most_with(event, last.values(), window_ms)
    past.append((event.event_time_ms, event.event_id, event.user_id))
    if len(inside) + 1 > signal.spec["over"]:
        yield _fired(signal, event, len(inside) + 1, [event_id for _, event_id in inside])


def _deviation(signal: Signal, event: Event, kind: str, pasts: dict[tuple[str, ...], list[Any]]) -> Iterator[Fired]:
    key, money = _key(signal, event, kind), event_as_dict(event)
    for name in signal.spec["amount"].removeprefix("$.").split("."):
        money = money.get(name) or {}
    if not key or not money:
        return
    past = pasts.setdefault((signal.rule_id, key, money["currency"]), [])
    amount = float(money["amount_minor"])
    amounts = [each[0] for each in past]
    if len(amounts) >= signal.spec.get("min_count", 5):
        mean = statistics.fmean(amounts)
        deviation = max(statistics.stdev(amounts), signal.spec.get("floor", 0.1) * mean, 1.0)
        if (amount - mean) / deviation > signal.spec["over"]:
            yield _fired(signal, event, (amount - mean) / deviation, [event_id for _, event_id in past])
            amount = mean + signal.spec["over"] * deviation
    past.append((amount, event.event_id))


def _travel(signal: Signal, event: Event, kind: str, pasts: dict[tuple[str, ...], list[Any]]) -> Iterator[Fired]:
    key, here = _key(signal, event, kind), event.source.country
    if not key or here not in _PLACES:
        return
    past = pasts.setdefault((signal.rule_id, key), [])  # (time, country, event id), of each country the last, the newest last
    window_ms = _ms(signal.spec.get("remember", "24h"))
    speeds = []
    for time_ms, country, event_id in past:
        away_ms = abs(event.event_time_ms - time_ms)
        way_km = _distance_km(here, country)
        if country != here and way_km >= signal.spec.get("min_km", 0) and away_ms < window_ms:
            speeds.append((way_km / max(away_ms, 1_000) * _MS["h"], event_id))
    mine = [each for each in past if each[1] == here and each[0] > event.event_time_ms] or [(event.event_time_ms, here, event.event_id)]
    past[:] = sorted([each for each in past if each[1] != here] + mine, key=lambda each: each[:2])
    past[:] = [each for each in past if each[0] > past[-1][0] - window_ms][-_COUNTRIES:]
    if speeds and max(speeds)[0] > signal.spec["over"]:
        yield _fired(signal, event, max(speeds)[0], [max(speeds)[1]])


def _unfamiliar(signal: Signal, event: Event, kind: str, pasts: dict[tuple[str, ...], list[Any]]) -> Iterator[Fired]:
    key, thing = _key(signal, event, kind), _value(signal.spec["of"], event, kind)
    if not key or not thing:
        return
    past = pasts.setdefault((signal.rule_id, key), [])
    if len(past) >= signal.spec.get("min_count", 3) and thing not in {each[1] for each in past}:
        yield _fired(signal, event, len(past), [max(past, key=lambda each: each[0])[2]])
    past.append((event.event_time_ms, thing, event.event_id))


def _without_view(in_order: Iterable[tuple[int, int, Event, str]], signals: Sequence[Signal]) -> Iterator[Fired]:
    counted: dict[str, int] = {}
    viewed: set[str] = set()
    for _, _, event, kind in in_order:
        session = event.session_id
        counted[session] = counted.get(session, 0) + 1
        if kind == "product_viewed":
            viewed.add(session)
        if session in viewed:
            continue
        for signal in signals:
            is_early = counted[session] <= signal.spec.get("among_first", math.inf)
            if signal.spec["kind"] == "no-view" and is_early and signal.routing.matches(kind, event):
                yield _fired(signal, event, 0, [], ordered=True)


_KINDS = {"velocity": _velocity, "accounts": _accounts, "deviation": _deviation, "travel": _travel, "unfamiliar": _unfamiliar}


def _fired(signal: Signal, event: Event, value: float, before: list[str], ordered: bool = False) -> Fired:
    evidence = (*before[-(_EVIDENCE - 1) :], event.event_id) if before else (event.event_id,)
    subject = event.user_id or event.session_id
    return Fired(signal.rule_id, event.event_id, subject, event.event_time_ms, signal.spec["score"], value, evidence, ordered)


def _remembered(past: list[Any], event: Event, window_ms: int) -> list[Any]:
    """What the window of a newer event has not made it forget."""
    newest_ms = max([event.event_time_ms, *(each[0] for each in past)])
    return [each for each in past if each[0] > newest_ms - window_ms]


def _most_with(event: Event, others: Iterable[tuple[int, str]], window_ms: int) -> list[tuple[int, str]]:
    """As many of the others as can lie in one window with the event, the earliest such window, by time."""
    by_time = sorted(others, key=lambda each: each[0])
    best: list[tuple[int, str]] = []
    for end_ms in sorted({event.event_time_ms, *(time_ms for time_ms, _ in by_time)}):
        if event.event_time_ms <= end_ms < event.event_time_ms + window_ms:
            inside = [each for each in by_time if end_ms - window_ms < each[0] <= end_ms]
            best = max(best, inside, key=len)
    return best


def _key(signal: Signal, event: Event, kind: str) -> str:
    return _value(signal.spec.get("by", "user"), event, kind)


def _value(by: str, event: Event, kind: str) -> str:
    if by == "card":
        return str(getattr(getattr(event, kind, None), "card_fingerprint", ""))
    value: Any = event_as_dict(event)
    for name in _KEYS.get(by) or by.removeprefix("$.").split("."):
        value = value.get(name) or {}
    return "" if value == {} else str(value)


def _ms(text: str) -> int:
    return int(text[:-1]) * _MS[text[-1]]


def _distance_km(one: str, other: str) -> float:
    """By the spherical law of cosines."""
    (latitude, longitude), (latitude2, longitude2) = ([math.radians(each) for each in _PLACES[country]] for country in (one, other))
    cosine = math.sin(latitude) * math.sin(latitude2) + math.cos(latitude) * math.cos(latitude2) * math.cos(longitude2 - longitude)
    return 6371.0 * math.acos(max(-1.0, min(1.0, cosine)))


# -- comparison -----------------------------------------------------------------------------------------------------------------------


def check_alerts(
    alerts: Sequence[bytes], event_ids: Container[str], min_score: float, window_ms: int = 600_000, expected: Expected | None = None
) -> list[str]:
    """What is wrong with the records of fraud.alerts, in their order, one line each.

    Args:
        event_ids: all valid events that went in.
        min_score: no alert may have less.
        window_ms: how far apart the signals of one alert may be.
        expected: what must have fired, if that is determined; then `min_score` must be 0.
    """
    found = [json.loads(alert) for alert in alerts]
    problems = [f"alert {alert_id} {count} times" for alert_id, count in Counter(each["alert_id"] for each in found).items() if count > 1]
    for alert in found:
        problems += [f"alert {alert['alert_id']} {what}" for what in _of_one(alert, event_ids, min_score)]
    if expected is not None:
        problems += _of_all(found, expected, window_ms)
    return problems


def alert_findings(outputs: Iterable[Output], event_ids: Container[str]) -> Findings:
    """What is wrong with alerts whatever fired: doubled ones, such as are no alerts, and such as are not about what went in."""
    findings = Findings()
    seen: set[str] = set()
    for output in outputs:
        try:
            alert = json.loads(output.value or b"")
            problems = [*_of_one(alert, event_ids, 0)]
            alert_id = alert["alert_id"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            findings.add(Problem.ALTERED, FRAUD_ALERTS, "{} is no alert: {!r}", output.place, error)
            continue
        if alert_id in seen:
            findings.add(Problem.DOUBLED, FRAUD_ALERTS, "{} has alert {} again", output.place, alert_id)
        seen.add(alert_id)
        if output.key != alert["subject"].encode():
            what = "{} has the key {!r}, its subject is {}"
            findings.add(Problem.WRONG_KEY, FRAUD_ALERTS, what, output.place, output.key, alert["subject"])
        for problem in problems:
            findings.add(Problem.UNEXPECTED, FRAUD_ALERTS, "{}: alert {} {}", output.place, alert_id, problem)
    return findings


def _of_one(alert: dict[str, Any], event_ids: Container[str], min_score: float) -> Iterator[str]:
    unknown = [event_id for reason in alert["reasons"] for event_id in reason["evidence"] if event_id not in event_ids]
    if unknown:
        yield f"has evidence that never was: {unknown}"
    if alert["event_id"] != alert["reasons"][0]["evidence"][-1]:
        yield f"is about {alert['event_id']}, but its first reason about {alert['reasons'][0]['evidence'][-1]}"
    unsuspicious = math.prod(1 - reason["score"] / 100 for reason in alert["reasons"])
    if abs(alert["score"] - 100 * (1 - unsuspicious)) > 0.06:
        yield f"has the score {alert['score']}, its reasons make {100 * (1 - unsuspicious):.1f}"
    if alert["score"] < min_score:
        yield f"has the score {alert['score']}, the least is {min_score}"
    rules = [reason["rule_id"] for reason in alert["reasons"]]
    if len(set(rules)) < len(rules):
        yield f"has a rule twice: {rules}"
    if alert["detected_ms"] < 0 or alert["subject"] != (alert["user_id"] or alert["session_id"]):
        yield f"has the subject {alert['subject']}"
    if any(not reason["text"] or len(reason["evidence"]) > _EVIDENCE for reason in alert["reasons"]):
        yield "has a reason without words, or with too much evidence"


def _of_all(found: Sequence[dict[str, Any]], expected: Expected, window_ms: int) -> Iterator[str]:
    alerts = {(alert["reasons"][0]["rule_id"], alert["event_id"]): alert for alert in found}
    fired = {(each.rule_id, each.event_id): each for each in expected.fired}
    for rule_id, event_id in sorted(fired.keys() - alerts.keys()):
        yield f"there is no alert of {rule_id} about {event_id}"
    for rule_id, event_id in sorted(alerts.keys() - fired.keys()):
        yield f"{rule_id} has no reason for an alert about {event_id}"
    last: dict[str, dict[str, Fired]] = {}
    for each in expected.fired:
        alert = alerts.get((each.rule_id, each.event_id))
        by_rule = last.setdefault(each.subject, {})
        newest_ms = max((other.time_ms for other in by_rule.values()), default=0)
        near = {rule_id: other for rule_id, other in by_rule.items() if abs(other.time_ms - each.time_ms) < window_ms}
        wanted = {
            rule_id: other for rule_id, other in near.items() if rule_id != each.rule_id and other.time_ms > newest_ms - window_ms
        }  # fmt: skip
        if each.rule_id not in by_rule or by_rule[each.rule_id].time_ms <= each.time_ms:
            by_rule[each.rule_id] = each
        if alert is not None:
            yield from _reasons(alert, each, wanted, fired)


def _reasons(alert: dict[str, Any], each: Fired, wanted: dict[str, Fired], fired: dict[tuple[str, str], Fired]) -> Iterator[str]:
    if (alert["subject"], alert["time_ms"]) != (each.subject, each.time_ms):
        yield f"alert {alert['alert_id']} is about {alert['subject']} at {alert['time_ms']}, expected {each}"
    for reason in alert["reasons"]:
        want = fired.get((reason["rule_id"], reason["evidence"][-1]))
        if want is None:
            yield f"alert {alert['alert_id']} has the reason {reason['text']!r}, which there is none for"
        elif tuple(reason["evidence"]) != want.evidence or not math.isclose(reason["value"], want.value, rel_tol=0.01, abs_tol=0.01):
            yield f"alert {alert['alert_id']} has the reason {reason}, expected {want}"
    if not each.ordered:
        told = {(reason["rule_id"], reason["evidence"][-1]) for reason in alert["reasons"][1:]}
        at_once = {key for key in told if key not in fired or not fired[key].ordered}
        if at_once != {(other.rule_id, other.event_id) for other in wanted.values()}:
            yield f"alert {alert['alert_id']} has the other reasons {sorted(at_once)}, expected {sorted(wanted)}"

"""Rules over events one after another, as the job evaluates them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shop.v1.events_pb2 import Event

from scripts.control.sources import event_type
from udfs.fraud.sightings import SIGNAL_MARK, Sighting, decoded, split
from udfs.fraud.signals import Memory, observe
from udfs.rules.aggregates import Observation, SlidingSum
from udfs.rules.engine import AGGREGATE_MARK, DESTINATION_SEPARATOR, FORM_SEPARATOR, RuleSet
from udfs.rules.language import Rule


@dataclass(frozen=True)
class Outcome:
    """What becomes of one event.

    Attributes:
        matched: ids of the rules that route it, by priority. A rule that aggregates is among them only once its sum is reached,
            a fraud signal only if it fires.
        shadow: ids of rules in shadow mode that match.
        ordered, unordered: destinations, each once.
        forms: what is sent where, exactly: tells a change of key, fields or mask.
    """

    matched: tuple[str, ...]
    shadow: tuple[str, ...]
    ordered: tuple[str, ...]
    unordered: tuple[str, ...]
    forms: frozenset[str]

    @property
    def topics(self) -> frozenset[str]:
        """All destinations."""
        return frozenset((*self.ordered, *self.unordered))

    def __str__(self) -> str:
        each = [f"{topic} (session)" for topic in self.ordered] + [f"{topic} (none)" for topic in self.unordered]
        return ", ".join(each) or "nowhere"


class Evaluator:
    """The rules, the sums of those that aggregate, and what fraud signals remember."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        # The job's key is not known here, nor needed: what is masked is compared, never shown.
        self._rule_set = RuleSet(rules, mask_key=b"any")
        self._sums: dict[str, SlidingSum] = {}
        self._memories: dict[tuple[str, str], Memory] = {}
        self._counted: dict[str, int] = {}  # session -> its events so far
        self._viewed: set[str] = set()

    def outcome(self, event: Event) -> Outcome:
        """Evaluates one event; it then counts for those that come after it."""
        kind = event_type(event)
        matches = self._rule_set.matches(event, kind)
        route = self._rule_set.route(event, kind)
        self._counted[event.session_id] = self._counted.get(event.session_id, 0) + 1
        if kind == "product_viewed":
            self._viewed.add(event.session_id)
        ordered = [token for token in _split(route.ordered) if not token.startswith(SIGNAL_MARK)]
        unordered = [token for token in _split(route.unordered) if not token.startswith((AGGREGATE_MARK, SIGNAL_MARK))]
        told = [Observation.decoded(token[1:]) for token in _split(route.unordered) if token.startswith(AGGREGATE_MARK)]
        reached = [each for each in told if self._sums.setdefault(each.key, SlidingSum({})).add(each)]
        later = [topic for each in reached for topic in each.topics]
        holding = {each.key.partition("/")[0] for each in reached}
        for token in _split(route.ordered) + _split(route.unordered):
            if token.startswith(SIGNAL_MARK):
                key, bundle = split(token)
                holding |= {seen.rule_id for seen in decoded(bundle) if self._fires(key, seen)}
        routing = [rule for rule, routes in matches if routes]
        return Outcome(
            matched=tuple(rule.id for rule in routing if rule.id in holding or not _depends_on_others(rule)),
            # A rule for what no other takes is evaluated only then.
            shadow=tuple(rule.id for rule, _ in matches if rule.mode == "shadow" and not (rule.when.unmatched and routing)),
            ordered=_topics(ordered),
            unordered=_topics([*unordered, *later]),
            forms=frozenset((*(f"session {token}" for token in ordered), *unordered, *later)),
        )


    def _fires(self, key: str, seen: Sighting) -> bool:
        if seen.kind == "no-view":
            is_early = not seen.among_first or self._counted[seen.session_id] <= seen.among_first
            return is_early and seen.session_id not in self._viewed
        self._memories[key, seen.part], firing = observe(self._memories.get((key, seen.part)), seen)
        return firing is not None


def _depends_on_others(rule: Rule) -> bool:
    """Whether what came before decides as well."""
    return rule.when.aggregate is not None or rule.when.signal is not None


def _split(tokens: str) -> list[str]:
    return tokens.split(DESTINATION_SEPARATOR) if tokens else []


def _topics(tokens: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(token.partition(FORM_SEPARATOR)[0] for token in tokens))

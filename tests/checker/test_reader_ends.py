"""The ends of the topics, where a broker has just come up."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from scripts.checker.reader import TopicReader, UnreadableError


class Admin:
    """Gives one answer after the other: an offset, or what is wrong."""

    def __init__(self, *answers: int | KafkaError) -> None:
        self.answers = list(answers)

    def list_offsets(self, request: Mapping[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        answer, futures = self.answers.pop(0), {place: Future[Any]() for place in request}
        for future in futures.values():
            if isinstance(answer, KafkaError):
                future.set_exception(KafkaException(answer))
            else:
                future.set_result(SimpleNamespace(offset=answer))
        return futures


def reader(admin: Admin) -> TopicReader:
    made = TopicReader.__new__(TopicReader)
    made.__dict__ |= {"_timeout_s": 60, "_admin": admin, "_ends": {("orders", 0): 0}}
    return made


def test_a_leader_that_is_new_is_asked_again() -> None:
    admin = Admin(KafkaError(KafkaError.UNKNOWN_LEADER_EPOCH), KafkaError(KafkaError.LEADER_NOT_AVAILABLE), 7)
    assert reader(admin)._stable_ends() == {("orders", 0): 7}
    assert admin.answers == []


def test_another_error_is_told_at_once() -> None:
    admin = Admin(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), 7)
    with pytest.raises(UnreadableError, match="the ends of the topics"):
        reader(admin)._stable_ends()
    assert admin.answers == [7]

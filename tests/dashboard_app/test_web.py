"""The web server, real and on a free port; records come from the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from scripts.dashboard_app.hub import Hub
from scripts.dashboard_app.security import host_allowed
from scripts.dashboard_app.web import MOST_CLIENTS
from scripts.outputs.record import Record
from tests.dashboard_app.samples import HOSTILE, NOON_MS, TOPICS, for_product, for_user, window
from tests.dashboard_app.serving import Serving, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(hosts=["shop.example"]) as running:
        running.feed(window("toys", 1_000), for_user("u/1 ä", "p-1"), for_product("p-1", viewed=("p-2",)))
        running.until(lambda found: found.get("categories") is not None)
        yield running


def messages(stream: HTTPResponse) -> Iterator[dict[str, str]]:
    """Server-sent events, field by field; a comment is under ""."""
    fields: dict[str, str] = {}
    while line := stream.readline().decode():
        if line == "\n":
            yield fields
            fields = {}
        else:
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = value.removeprefix(" ")


def test_the_stream_begins_with_everything_and_goes_on_with_what_has_changed(server: Serving) -> None:
    with server.stream() as stream:
        assert stream.getheader("content-type") == "text/event-stream; charset=utf-8"
        events = messages(stream)
        assert next(events) == {"retry": "2000"}
        first = next(events)
        everything = json.loads(first["data"])
        assert everything.keys() == server.json("/api/snapshot").keys()
        assert everything["categories"]["currencies"]["USD"]["now"][0]["category"] == "toys"

        second = next(events)
        assert int(second["id"]) > int(first["id"])
        assert "status" in json.loads(second["data"])
        assert "categories" not in json.loads(second["data"])  # it has not changed

        server.feed(window("books", 2_000))
        news: dict[str, Any] = {}
        while "categories" not in news:
            news = json.loads(next(events)["data"])
        assert [each["category"] for each in news["categories"]["currencies"]["USD"]["now"]] == ["books", "toys"]


def test_all_pages_get_the_same_and_it_is_computed_once(server: Serving) -> None:
    with server.stream() as one, server.stream() as another:
        firsts = [messages(one), messages(another)]
        for each in firsts:
            next(each)
        found = [{event["id"]: event["data"] for event in (next(events), next(events), next(events))} for events in firsts]
    shared = found[0].keys() & found[1].keys()
    assert len(shared) >= 2
    assert all(found[0][each] == found[1][each] for each in sorted(shared)[1:])  # the first is everything


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (
            "/api/recommendations/u%2F1%20%C3%A4",
            {"id": "u/1 ä", "user": {"time_ms": NOON_MS, "items": [{"product_id": "p-1", "score": 1.0}]}, "product": None},
        ),
        (
            "/api/recommendations/p-1",
            {
                "id": "p-1",
                "user": None,
                "product": {
                    "category": "toys",
                    "time_ms": NOON_MS,
                    "also_viewed": [{"product_id": "p-2", "score": 1.0}],
                    "also_bought": [],
                },
            },
        ),
        ("/api/recommendations/nobody", {"id": "nobody", "user": None, "product": None}),
        ("/api/suggestions?q=%C3%84", {"users": ["u/1 ä"], "products": []}),
        ("/api/suggestions", {"users": ["u/1 ä"], "products": ["p-1"]}),
        ("/healthz", {"ok": True, "kafka": True, "flink": True}),
    ],
)
def test_what_can_be_asked(server: Serving, path: str, found: Any) -> None:
    answer = server.get(path)
    assert (answer[0], json.loads(answer[2])) == (200, found)
    assert answer[1]["content-type"] == "application/json"
    assert answer[1]["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/snapshot", "/healthz", "/nothing", "/static/../main.py"])
def test_every_answer_has_the_headers_that_keep_a_browser_in(server: Serving, path: str) -> None:
    _, headers, _ = server.get(path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(("path", "status"), [("/static/../main.py", 404), ("/static/%2e%2e/main.py", 404), ("/static/", 404), ("/x", 404)])
def test_nothing_but_the_pages_files_is_served(server: Serving, path: str, status: int) -> None:
    assert server.get(path)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_there_is_nothing_to_change(server: Serving, method: str) -> None:
    assert server.get("/api/snapshot", method=method)[0] == 405


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8080", True), ("127.0.0.1", True), ("localhost:8080", True), ("LOCALHOST", True), ("[::1]:8080", True), ("[::1]", True),
        ("192.168.1.7:80", True), ("shop.example", True), ("Shop.Example:443", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example:8080", False), ("", False),
        ("shop.example.evil", False), ("127.0.0.1@evil.example", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_dns_rebinding_is_refused(server: Serving, host: str, allowed: bool) -> None:
    assert host_allowed(host, ["shop.example"]) is allowed
    status, _, body = server.get("/api/snapshot", host=host)
    assert status == (200 if allowed else 421)
    assert allowed or b"currencies" not in body


def test_hostile_names_are_json_and_never_html(server: Serving) -> None:
    server.feed(for_user(HOSTILE, HOSTILE))
    status, headers, body = server.get("/api/suggestions?q=%3Cimg")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["users"] == [HOSTILE]


def test_too_many_pages_are_refused_and_room_is_made_when_they_leave() -> None:
    with serving() as server:
        streams = [server.stream() for _ in range(MOST_CLIENTS)]
        opened = [stream.__enter__() for stream in streams]
        for each in opened:
            assert each.readline() == b"retry: 2000\n"
        with server.stream() as refused:
            assert (refused.status, refused.getheader("retry-after")) == (503, "5")
        for stream, each in zip(streams, opened, strict=True):
            each.close()
            stream.__exit__(None, None, None)
        deadline_s = time.monotonic() + 30
        while True:
            with server.stream() as another:
                if another.status == 200:
                    break
            assert time.monotonic() < deadline_s


def test_it_ends_at_once_with_pages_open() -> None:
    with serving() as server:
        stream = server.stream()
        opened = stream.__enter__()
        assert opened.readline() == b"retry: 2000\n"
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 1.9  # the server's own patience is 2 s
    while opened.readline():
        pass  # what was on its way, then the end
    stream.__exit__(None, None, None)


def test_a_hub_that_is_closed_ends_its_streams_though_nothing_is_published_any_more() -> None:
    async def run() -> list[bytes]:
        hub = Hub(lambda: {"a": 1})
        hub.publish()
        found: list[bytes] = []
        async for message in hub.stream():
            found.append(message)
            if len(found) == 2:
                asyncio.get_running_loop().call_later(0.05, hub.close)  # while it waits
        assert hub.clients == 0
        return found

    assert asyncio.run(asyncio.wait_for(run(), 5)) == [b"retry: 2000\n\n", b'id: 1\ndata: {"a":1}\n\n']


def test_a_section_that_can_not_be_computed_does_not_end_the_others() -> None:
    values: list[Any] = [{"a": 1}, {"a": object()}, {"a": 2, "b": 3}]
    hub = Hub(lambda: values.pop(0))
    hub.publish()
    with pytest.raises(TypeError):
        hub.publish()
    assert hub.snapshot() == b'{"a":1}'
    hub.publish()
    assert hub.snapshot() == b'{"a":2,"b":3}'
    assert hub.snapshot(since=1) == b'{"a":2,"b":3}'
    assert hub.snapshot(since=2) == b"{}"


def test_recommendations_that_can_not_be_read_are_told() -> None:
    with serving() as server:
        server.feed(Record(TOPICS.user_recommendations, b"{}", key=b"u"))
        status, _, body = server.get("/api/recommendations/u")
        assert (status, json.loads(body)) == (502, {"error": "recommendations.by-user[0]@0: time_ms is None, must be an integer"})

"""The web server's side: the page, its stream of news, and answers to what a page asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from scripts.dashboard_app.hub import Hub
from scripts.dashboard_app.security import Security
from scripts.dashboard_app.shared import Shared
from scripts.dashboard_app.state import DashboardState
from scripts.outputs.record import Unreadable

STATIC: Final = Path(__file__).resolve().parent / "static"
MOST_CLIENTS: Final = 64
_NO_STORE: Final = {"cache-control": "no-store"}


def create_app(shared: Shared, hosts: Collection[str] = (), interval_s: float = 1.0) -> Starlette:
    """The application; its `state.hub` is to be closed before the server ends, else the server waits for the pages to leave.

    Args:
        hosts: names under which it may be asked, besides localhost and IP addresses.
        interval_s: how often pages get news.
    """
    hub = Hub(shared.sections, interval_s)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(hub.run())
        yield
        hub.close()
        ticking.cancel()

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    async def snapshot(_: Request) -> Response:
        return _json(hub.snapshot())

    async def events(_: Request) -> Response:
        if hub.clients >= MOST_CLIENTS:
            return PlainTextResponse("Too many pages are open.\n", 503, {"retry-after": "5"})
        # no-transform and the last one: a proxy that collects the stream would hold it back.
        headers = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
        return StreamingResponse(hub.stream(), media_type="text/event-stream", headers=headers)

    async def recommendations(request: Request) -> Response:
        who = request.path_params["who"]
        try:
            return _json(orjson.dumps(shared.ask(lambda state: state.recommendations.of(who))))
        except Unreadable as error:
            return _json(orjson.dumps({"error": str(error)}), 502)

    async def suggestions(request: Request) -> Response:
        text = request.query_params.get("q", "")[:200]
        return _json(orjson.dumps(shared.ask(lambda state: state.recommendations.suggestions(text))))

    async def healthz(_: Request) -> Response:
        return _json(orjson.dumps({"ok": True} | shared.ask(_answers)))

    routes = [
        Route("/", page),
        Route("/api/snapshot", snapshot),
        Route("/api/events", events),
        Route("/api/recommendations/{who:path}", recommendations),
        Route("/api/suggestions", suggestions),
        Route("/healthz", healthz),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(Security, hosts=hosts)])
    app.state.hub = hub
    return app


def _answers(state: DashboardState) -> dict[str, bool | None]:
    """Whether it gets what it needs; it works without, and says so on the page."""
    return {"kafka": state.health.kafka.answers, "flink": state.health.flink.answers}


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, _NO_STORE, "application/json")

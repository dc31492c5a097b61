"""`i2i app`: the page for people, and what it asks for behind `/api`.

The page is a handful of files without a build step (`static/`); it loads nothing from elsewhere.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from torch import Tensor

from i2i import __version__
from i2i.app import api, images
from i2i.app.api import asset, gone, page
from i2i.app.examinations import Examinations
from i2i.app.guard import COOKIE, Guard, UnauthorizedError
from i2i.app.models import Wanted
from i2i.app.service import Service, base64_of
from i2i.app.shelf import Shelf
from i2i.app.trainings import Places, Trainings
from i2i.app.videos import VideoTranslations
from i2i.config.recipes import list_models
from i2i.core.batch import to_bytes
from i2i.errors import I2iError, OptionsError
from i2i.inference.sampler import Sampler

STATIC = (
    *("base.css", "app.css", "curves.css", "app.js", "parts.js", "curves.js", "zip.js"),
    *("runs.js", "train.js", "translate.js", "videos.js", "viewer.js", "sample.js", "data.js"),
)
"""The files of the page."""

LOOK = 0.7
"""Seconds between two looks at what may have changed."""

PING = 15.0
"""Seconds after which something is sent to show that the connection is alive."""


_NO_IMAGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="128" height="128">'
    '<path d="M1 1h126v126H1zM1 1l126 126M127 1L1 127" fill="none" stroke="#888" stroke-width="2"/>'
    "</svg>"
)
"""What stands for a file that cannot be read."""


class Closing:
    """Tells streams of events that the server is about to stop."""

    def __init__(self) -> None:
        self.now = False

    def __call__(self) -> None:
        self.now = True


def build(
    service: Service, shelf: Shelf, places: Places, *, token: str | None, closing: Closing
) -> Guard:
    """The application.

    Arguments:
        service: translates and samples.
        shelf: the runs.
        places: where data may be read.
        token: that must be told, or None.
        closing: says when the server is about to stop.
    """
    examinations = Examinations()
    videos = VideoTranslations(service, lambda: closing.now)
    trainings = Trainings(shelf, places, service.models.names)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, examinations.close)
        await loop.run_in_executor(None, videos.close)
        trainings.close()
        await loop.run_in_executor(None, service.close)

    app = FastAPI(
        title="i2i app", version=__version__, docs_url=None, redoc_url=None, lifespan=life
    )
    app.include_router(api.routes(service))
    app.include_router(_pages(token), include_in_schema=False)
    app.include_router(_runs(shelf, trainings, closing), include_in_schema=False)
    app.include_router(_tries(service, videos), include_in_schema=False)
    app.include_router(_data(places, examinations), include_in_schema=False)
    api.explain_errors(app, candid=True)
    return api.guarded(
        app,
        service,
        token=token,
        open_paths=(*api.OPEN, "/", "/api/login", *(f"/static/{name}" for name in STATIC)),
        uncounted=("/metrics", "/api/events"),
    )


def _pages(token: str | None) -> APIRouter:
    router = APIRouter()

    @router.get("/")
    async def home(request: Request) -> Response:
        told = request.query_params.get("token")
        if told is not None:
            answer = RedirectResponse("/", 303)
            _remember(answer, told, token)
            return answer
        return page("app.html")

    @router.post("/api/login")
    async def login(request: Request) -> Response:
        body = await request.body()
        answer = Response(status_code=204)
        _remember(answer, body[:1000].decode("utf-8", "replace").strip(), token)
        return answer

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            return Response(status_code=404)
        return asset(name)

    return router


def _remember(answer: Response, told: str, token: str | None) -> None:
    """Let a browser keep the token, if it is right.

    Raises:
        UnauthorizedError: it is not.
    """
    if token is None or not hmac.compare_digest(told.encode(), token.encode()):
        raise UnauthorizedError("this token is wrong.")
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", max_age=30 * 86400)


def _runs(shelf: Shelf, trainings: Trainings, closing: Closing) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/runs")
    def runs() -> Any:
        return {"runs": shelf.summaries(), "trainings": trainings.to_list()}

    @router.get("/runs/{name}")
    def run(name: str) -> Any:
        return shelf.details(name)

    @router.get("/runs/{name}/sheets/{step}")
    def sheet(name: str, step: int) -> Response:
        return FileResponse(
            shelf.sheet(name, step),
            media_type="image/png",
            headers={"Cache-Control": "private, max-age=60"},
        )

    @router.get("/runs/{name}/report")
    def report(name: str) -> Response:
        return HTMLResponse(shelf.report(name))

    @router.post("/runs/{name}/stop")
    def stop(name: str) -> Any:
        trainings.stop(name)
        return {}

    @router.delete("/runs/{name}")
    def remove(name: str) -> Any:
        trainings.remove(name)
        return {}

    @router.post("/runs/{name}/resume")
    def resume(name: str, body: dict[str, Any]) -> Any:
        steps = body.get("steps")
        if steps is not None and (not isinstance(steps, int) or not 0 < steps < 2**31):
            raise OptionsError(f"steps (={steps!r}) must be a whole number, at least 1.")
        return {"training": trainings.resume(name, steps)}

    @router.get("/recipes")
    def recipes() -> Any:
        return [{"name": name, "about": about} for name, about in list_models().items()]

    @router.get("/forms/{begin}/{name}")
    def form(begin: Literal["recipe", "weights"], name: str) -> Any:
        return trainings.form(begin, name)

    @router.post("/train/estimate")
    def estimate(body: dict[str, Any]) -> Any:
        return {"text": trainings.estimate(body)}

    @router.post("/train")
    def train(body: dict[str, Any]) -> Any:
        return {"training": trainings.start(body)}

    @router.get("/events")
    async def events(request: Request) -> Response:
        watched = request.query_params.getlist("run")[:8]
        changes = _changes(shelf, trainings, watched, closing)
        return StreamingResponse(changes, media_type="text/event-stream")

    return router


async def _changes(
    shelf: Shelf, trainings: Trainings, watched: list[str], closing: Closing
) -> AsyncIterator[str]:
    """Events: "runs" with a line about each run, "curves" of those that are watched, "trainings"
    with what they say; each when it has changed."""
    sent: dict[str, Any] = {}
    silent = 0.0

    def news() -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = [
            ("runs", shelf.summaries()),
            ("trainings", trainings.to_list()),
        ]
        changed = [(event, told) for event, told in found if sent.get(event) != told]
        sent.update(changed)
        for name in watched:
            try:
                stamp = shelf.stamp(shelf.folder(name))
                if sent.get(f"run {name}") != stamp:
                    charts = shelf.charts(name)
                    sent[f"run {name}"] = stamp
                    changed.append(("curves", {"run": name, "charts": charts}))
            except (I2iError, OSError):
                continue  # it comes, or goes, or is being written
        return changed

    while not closing.now:
        for event, told in await asyncio.get_running_loop().run_in_executor(None, news):
            silent = 0.0
            yield f"event: {event}\ndata: {json.dumps(told, allow_nan=False)}\n\n"
        if silent >= PING:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK)
        silent += LOOK


def _tries(service: Service, videos: VideoTranslations) -> APIRouter:
    """What is tried beyond images and seeds: videos, and ways through noise and styles."""
    router = APIRouter(prefix="/api")

    def wanted(body: dict[str, Any]) -> Wanted:
        return service.wanted(body.get("model"), body.get("checkpoint"))

    @router.post("/video")
    async def video(request: Request) -> Response:
        fields, _ = await api.fields_of(request)
        answer = videos.translate(api.translation_of(service, fields))
        return StreamingResponse(answer, media_type="application/octet-stream")

    @router.post("/interpolate")
    async def interpolate(request: Request, body: dict[str, Any]) -> Any:
        begin, end = (_whole(body, name, 2**62) for name in ("begin", "end"))
        frames = max(2, _whole(body, "frames", 10**6))
        make: Callable[[Sampler], Any] = partial(
            _interpolated,
            begin=begin,
            end=end,
            frames=frames,
            spherical=bool(body.get("spherical")),
            label=body.get("label") or None,
            codes=body.get("codes") or None,
            truncation=body.get("truncation"),
        )
        made = await service.with_sampler(wanted(body), frames, make, gone(request))
        return {"images": [base64_of(each) for each in made]}

    @router.post("/mix")
    async def mix(request: Request, body: dict[str, Any]) -> Any:
        seed, rows, columns, first, last = (
            _whole(body, name, limit)
            for name, limit in (
                *(("seed", 2**60), ("rows", 100), ("columns", 100)),
                *(("first", 1000), ("last", 1000)),
            )
        )
        make: Callable[[Sampler], Any] = partial(
            _mixed,
            seed=seed,
            rows=max(1, rows),
            columns=max(1, columns),
            layers=range(first, last + 1),
        )
        count = (rows + 1) * (columns + 1)
        return Response(
            await service.with_sampler(wanted(body), count, make, gone(request)),
            media_type="image/png",
        )

    return router


def _whole(body: dict[str, Any], name: str, limit: int) -> int:
    value = body.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise OptionsError(f"{name} (={value!r}) must be a whole number below {limit}.")
    return value


def _interpolated(
    sampler: Sampler, *, begin: int, end: int, frames: int, **options: Any
) -> list[bytes]:
    made = _seen(sampler, sampler.interpolate(begin, end, frames, **options))
    return [images.encode_tensor(each, "png") for each in made]


def _mixed(sampler: Sampler, *, seed: int, rows: int, columns: int, layers: range) -> bytes:
    """A sheet of styles in some layers: seeds of the rows first, then those of the columns."""
    split = seed + rows
    made = sampler.mix(range(seed, split), range(split, split + columns), layers)
    return images.encode_grid(_seen(sampler, made.flatten(0, 1)).unflatten(0, made.shape[:2]))


def _seen(sampler: Sampler, made: Tensor) -> Tensor:
    """Images (N, C, H, W) as they travel, as bytes that a browser shows."""
    [pictures] = sampler.pictures({"": made}).values()
    return to_bytes(pictures)


def _data(places: Places, examinations: Examinations) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/folders")
    def folders(path: str = ".") -> Any:
        folder = places.folder(path)
        try:
            inside = sorted(each.name for each in folder.iterdir() if each.is_dir())
        except OSError as error:
            raise OptionsError(f"{path!r} cannot be read: {error.strerror}.") from error
        return {
            "path": str(folder),
            "above": str(folder.parent) if folder not in places.roots else None,
            "folders": [each for each in inside if not each.startswith(".")][:500],
        }

    @router.post("/doctor")
    def examine(body: dict[str, Any]) -> Any:
        return {"id": examinations.begin(places.folder(str(body.get("folder") or ".")))}

    @router.get("/doctor/{number}")
    def state(number: int) -> Any:
        return examinations.state(number)

    @router.get("/doctor/{number}/{file}")
    def thumbnail(number: int, file: int) -> Response:
        small = examinations.thumbnail(number, file)
        if small is None:
            return Response(_NO_IMAGE, media_type="image/svg+xml")
        return Response(small, media_type="image/png")

    return router

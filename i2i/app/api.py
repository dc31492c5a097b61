"""The HTTP interface: `/v1/translate`, `/v1/sample`, `/v1/models`, and what operators ask.

Mistakes are answered with {"error": a sentence} and a status that says whose they are.
"""

import asyncio
import base64
import binascii
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import PurePath
from reprlib import repr as shortened
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from i2i import __version__
from i2i.app import metrics
from i2i.app.guard import Guard, refusal
from i2i.app.images import MEDIA, require_format
from i2i.app.refusals import RefusedError, status_of
from i2i.app.service import Gone, SampleRequest, Service, TranslateRequest, base64_of
from i2i.core.labels import read_changes
from i2i.errors import CheckpointError, I2iError, OptionsError, did_you_mean, in_words

OPEN = ("/healthz", "/docs", "/docs/api.js", "/docs/base.css", "/openapi.json")
"""What needs no token."""

log = logging.getLogger("i2i.app")

_FIELDS: dict[str, tuple[str, str]] = {
    "image": ("binary", "the image: a file, or base64 in JSON"),
    "model": ("string", "name of the model; may be left out where there is one"),
    "checkpoint": ("string", "last, best, or a number of steps"),
    "direction": ("string", "AtoB or BtoA, of models that translate both ways"),
    "domain": ("string", "what to translate to, of models of many domains"),
    "attributes": ("object", 'which attributes to change: {"Smiling": true}, or "Smiling=1"'),
    "seed": ("integer", "of the style, of models of styles"),
    "reference": ("binary", "an image whose style is taken, of models of styles"),
    "size": ("integer", "pixels that the shorter side is brought to first"),
    "format": ("string", f"of the result: {', '.join(MEDIA)}; png by default"),
}


def _body(*, binary: dict[str, str]) -> dict[str, Any]:
    properties = {
        name: {**(binary if kind == "binary" else {"type": kind}), "description": meaning}
        for name, (kind, meaning) in _FIELDS.items()
    }
    return {"schema": {"type": "object", "required": ["image"], "properties": properties}}


_TRANSLATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _body(binary={"type": "string", "format": "binary"}),
            "application/json": _body(binary={"type": "string", "contentEncoding": "base64"}),
        },
    }
}

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "the token is missing or wrong"},
    403: {"description": "another site's page has sent the request"},
    404: {"description": "there is no such model or checkpoint"},
    408: {"description": "the request did not arrive in time"},
    413: {"description": "too many bytes or pixels"},
    422: {"description": "something in the request is wrong; `error` says what"},
    429: {"description": "too many requests of one client at the same time"},
    503: {"description": "too much to do, or no room for the model: try again"},
    504: {"description": "the answer was not ready in time"},
}


def routes(service: Service) -> APIRouter:
    """The pages of a service."""
    router = APIRouter()

    @router.post(
        "/v1/translate",
        summary="Translate an image",
        openapi_extra=_TRANSLATE,
        response_class=Response,
        responses={
            200: {
                "description": "the translated image: a file, or base64 where the request was JSON",
                "content": {"image/png": {}, "application/json": {}},
            },
            **_ERRORS,
        },
    )
    async def translate(request: Request) -> Response:
        fields, is_json = await fields_of(request)
        wanted = translation_of(service, fields)
        result = await service.translate(wanted, gone(request))
        form = require_format(wanted.form)
        if is_json:
            return JSONResponse(
                {"image": base64_of(result), "format": form, "model": wanted.wanted.name}
            )
        return Response(result, media_type=MEDIA[form])

    @router.post("/v1/sample", summary="Make images from noise", responses=_ERRORS)
    async def sample(request: Request, body: SampleRequest) -> dict[str, Any]:
        made = await service.sample(body, gone(request))
        form = require_format(body.format)
        return {"images": [base64_of(each) for each in made], "format": form, "seeds": body.seeds}

    @router.get("/v1/models", summary="What can be asked for", responses=_ERRORS)
    def models() -> dict[str, Any]:
        return {"models": [service.models.describe(name) for name in service.models.names()]}

    @router.get("/healthz", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @router.get(
        "/metrics", summary="Counts and times, for Prometheus", response_class=PlainTextResponse
    )
    async def measured() -> Response:
        return Response(service.metrics(), media_type=metrics.TEXT)

    @router.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page("api.html")

    @router.get("/docs/api.js", include_in_schema=False)
    async def docs_script() -> Response:
        return asset("api.js")

    @router.get("/docs/base.css", include_in_schema=False)
    async def docs_style() -> Response:
        return asset("base.css")

    return router


def build(service: Service, *, token: str | None, title: str = "i2i serve") -> Any:
    """The application: the pages of a service behind the guard.

    Arguments:
        service: whose pages they are; closed when the application ends.
        token: that must be told, or None.
        title: of the reference.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, service.close)

    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None, lifespan=life)
    app.include_router(routes(service))
    explain_errors(app)
    return guarded(app, service, token=token)


def guarded(
    app: FastAPI,
    service: Service,
    *,
    token: str | None,
    open_paths: tuple[str, ...] = OPEN,
    uncounted: tuple[str, ...] = ("/metrics",),
) -> Guard:
    """An application behind the guard, whose requests are counted."""

    def watch(method: str, route: str, status: int, seconds: float) -> None:
        service.requests.add(route=route, status=str(status))
        service.seconds.observe(seconds)

    return Guard(
        app,
        limits=service.limits,
        admission=service.admission,
        token=token,
        open_paths=open_paths,
        uncounted=uncounted,
        watch=watch,
    )


def explain_errors(app: FastAPI, *, candid: bool = False) -> None:
    """Answer mistakes with a sentence.

    Arguments:
        app: whose.
        candid: tell also what is wrong with files of the server.
    """

    @app.exception_handler(I2iError)
    async def told(request: Request, error: I2iError) -> Response:
        if isinstance(error, RefusedError):
            return refusal(error)
        status = status_of(error)
        text = str(error)
        if not candid and (status == 500 or isinstance(error, CheckpointError)):
            log.error("%s %s: %s", request.method, request.url.path, text)
            text = "the model cannot be used; the log of the server says why."
        return JSONResponse(
            {"error": text}, status, {"Retry-After": "1"} if status in (503, 504) else None
        )

    @app.exception_handler(OSError)
    async def system(request: Request, error: OSError) -> Response:
        text = in_words(error)
        log.error("%s %s: %s", request.method, request.url.path, text)
        if not candid:
            text = "the server cannot read or write what it needs; its log says why."
        return JSONResponse({"error": text}, 500)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = [each for each in first["loc"] if each != "body"]
        where = ".".join(map(str, place)) or "the body"
        known = [field.name for field in dataclasses.fields(SampleRequest)]
        match first["type"]:
            case "json_invalid":
                text = f"the body is no JSON: {first['ctx']['error']} (character {where})."
            case "missing" if place:
                text = f"{where} is missing."
            case "unexpected_keyword_argument":
                hint = did_you_mean(where, known)
                text = f"unknown field {where!r}.{hint} Known are: {', '.join(known)}."
            case "dataclass_type" | "missing":
                text = (
                    "the body must be a JSON object, sent as Content-Type: application/json, with "
                    f"some of {', '.join(known)}."
                )
            case _:
                said = first["msg"][:1].lower() + first["msg"][1:]
                text = f"{where} (={shortened(first['input'])}): {said}."
        return JSONResponse({"error": text}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        text = str(error.detail)
        if error.status_code in (404, 405):
            text = f"{request.method} {request.url.path}: {text}. /docs says what can be asked."
        return JSONResponse({"error": text}, error.status_code, error.headers)


async def fields_of(request: Request) -> tuple[dict[str, Any], bool]:
    """The fields of a request, files as bytes; and whether it was JSON.

    Raises:
        OptionsError: it is neither a form nor JSON, or a file is missing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            told = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise OptionsError("the body is no JSON.") from None
        if not isinstance(told, dict):
            raise OptionsError("the body must be a JSON object with the field image.")
        files = {}
        for name in ("image", "reference"):
            if told.get(name) is not None:
                files[name] = _decoded(name, told[name])
        return {**told, **files}, True
    if kind != "multipart/form-data":
        raise OptionsError(
            f"Content-Type (={kind[:100]!r}) must be multipart/form-data or application/json."
        )
    fields: dict[str, Any] = {}
    async with request.form(max_files=2, max_fields=len(_FIELDS)) as form:
        for name, value in form.multi_items():
            if name in fields:
                raise OptionsError(
                    f"{name} is there twice: send one image a request; those that come at the same "
                    "time are computed together."
                )
            fields[name] = await value.read() if isinstance(value, UploadFile) else value
    for name in ("image", "reference"):
        if isinstance(fields.get(name), str):
            raise OptionsError(f"{name} must be a file (with a file name) in a form.")
    if (attributes := str(fields.get("attributes", "")).strip()).startswith("{"):
        try:
            fields["attributes"] = json.loads(attributes)
        except (ValueError, RecursionError):
            raise OptionsError(
                'attributes is no JSON: expected {"NAME": true, ...}, or NAME=1,NAME=0.'
            ) from None
    return fields, False


def _decoded(name: str, text: object) -> bytes:
    """The bytes of base64, in lines or not, and of a data URL as a browser makes it."""
    try:
        if not isinstance(text, str):
            raise ValueError
        head, comma, rest = text.partition(",")
        bare = rest if comma and head.startswith("data:") and head.endswith(";base64") else text
        return base64.b64decode("".join(bare.split()), validate=True)
    except (binascii.Error, ValueError):
        raise OptionsError(f"{name} is not base64 (of the bytes of a file of an image).") from None


def translation_of(service: Service, fields: Mapping[str, Any]) -> TranslateRequest:
    """What a request asks for.

    Raises:
        OptionsError: a field is unknown, missing, or of another type.
    """
    for name in fields:
        if name not in _FIELDS:
            raise OptionsError(
                f"unknown field {name!r}.{did_you_mean(name, _FIELDS)} Known are: "
                f"{', '.join(_FIELDS)}."
            )
    if not fields.get("image"):
        raise OptionsError("image is missing: send the file of an image.")
    attributes = read_changes(fields.get("attributes") or {})
    if attributes and fields.get("domain"):
        raise OptionsError("ask for a domain or for attributes, not for both.")
    if fields.get("reference") and fields.get("seed") not in (None, ""):
        raise OptionsError("take a style from a reference or from a seed, not from both.")
    return TranslateRequest(
        image=fields["image"],
        wanted=service.wanted(*(_text(fields, n) for n in ("model", "checkpoint", "direction"))),
        domain=_text(fields, "domain"),
        attributes=tuple(sorted(attributes.items())),
        seed=_number(fields, "seed"),
        reference=fields.get("reference") or None,
        size=_number(fields, "size"),
        form=_text(fields, "format") or "png",
    )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise OptionsError(f"{name} (={value!r}) must be text.")
    return value or None


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise OptionsError(f"{name} (={text[:40]!r}) must be a whole number, not negative.")
    return int(text)


def gone(request: Request) -> Gone:
    """What is done when the client of a request has gone."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return lambda: asyncio.ensure_future(wait())


CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""What a page of ours may load: what this server sends, and nothing else."""

_KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def asset(name: str) -> Response:
    """A file of the pages, by a name that stands in this package."""
    shared = name.startswith("curves.")  # of the report, which draws its curves alike
    folder = files("i2i.report") if shared else files("i2i.app").joinpath("static")
    text = folder.joinpath(name).read_text(encoding="utf-8")
    return Response(text, media_type=_KINDS[PurePath(name).suffix])


def page(name: str) -> Response:
    """A page, which may load nothing from elsewhere."""
    text = files("i2i.app").joinpath("static", name).read_text(encoding="utf-8")
    return HTMLResponse(text, headers={"Content-Security-Policy": CONTENT_SECURITY})

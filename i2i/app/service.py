"""What can be done for a client, whatever it has sent its request with: translate and sample."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from i2i.app import images, metrics
from i2i.app.batching import ExpiredError
from i2i.app.limits import Admission, Limits
from i2i.app.models import Alone, Loaded, Models, Sampling, Translation, Wanted
from i2i.app.refusals import GoneError, TooLargeError
from i2i.data.images.file import AnyPixels
from i2i.data.images.frames import Frames
from i2i.data.images.read import read_image
from i2i.errors import OptionsError
from i2i.inference.sampler import Sampler
from i2i.inference.translator import Translator
from i2i.system.cpu import cores
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory

T = TypeVar("T")

Gone = Callable[[], "asyncio.Future[Any]"]
"""Makes what is done when the client has gone."""


@dataclass(frozen=True)
class TranslateRequest:
    """What to make of an image.

    Attributes:
        image: the bytes of its file.
        wanted: the model.
        domain: to translate to, of models of many domains.
        attributes: which to change, and whether they shall hold, of models of attributes.
        seed: of the style, of models of styles.
        reference: the bytes of an image of the domain whose style is taken instead.
        size: resize the image first, so that its shorter side has this many pixels.
        form: of the result: "png", "jpg", ... (`images.MEDIA`).
    """

    image: bytes
    wanted: Wanted
    domain: str | None = None
    attributes: tuple[tuple[str, bool | None], ...] = ()
    seed: int | None = None
    reference: bytes | None = None
    size: int | None = None
    form: str = "png"


@dataclass(frozen=True)
class SampleRequest:
    """What to make of noise.

    Attributes:
        seeds: one image for each.
        model: by name; may be left out where there is one.
        checkpoint: "last", "best", or a number of steps.
        label: the class, by name or number; by default the seeds go through all.
        codes: name -> value, of models with codes.
        truncation: how far noise may be from its middle; less is more typical.
        noise: whether a generator that adds noise to features does.
        format: of the images: png, jpg, webp, ...
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # as the interface reads it

    seeds: list[int]
    model: str | None = None
    checkpoint: str | None = None
    label: str | int | None = None
    codes: dict[str, float] | None = None
    truncation: float | None = None
    noise: bool = True
    format: str = "png"


class Service:
    """Models, and what is allowed of them.

    Arguments:
        models: that can be asked for.
        limits: of what is taken.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models = models
        self.limits = limits
        self.admission = Admission(limits)
        # Decoding and encoding; more threads would only hold more images in memory.
        self._threads = ThreadPoolExecutor(cores() + 1, "images")
        # Loading a model must not keep a thread from answering for another one.
        self._loaders = ThreadPoolExecutor(4, "models")
        self.requests = metrics.Counter("i2i_requests_total", "Requests answered.")
        self.seconds = metrics.Histogram(
            "i2i_request_seconds", "From a request to its answer.", metrics.SECONDS
        )
        self.batches = metrics.Histogram(
            "i2i_batch_size", "Requests that were computed together.", metrics.BATCHES
        )
        models.watch = self.batches.observe
        self.images = metrics.Counter("i2i_images_total", "Images made.")

    def close(self) -> None:
        """Finish what is begun."""
        self._threads.shutdown()
        self._loaders.shutdown()
        self.models.close()

    def wanted(
        self, model: str | None, checkpoint: str | None = None, direction: str | None = None
    ) -> Wanted:
        """The model that is meant.

        Raises:
            OptionsError: none is named where there are several.
        """
        if model is None:
            names = list(self.models.names())
            if len(names) != 1:
                raise OptionsError(
                    f"model is missing: name one of {', '.join(names) or '(there is none)'}."
                )
            [model] = names
        return Wanted(model, checkpoint or self.models.default, direction or None)

    async def translate(self, request: TranslateRequest, gone: Gone) -> bytes:
        """The file of a translated image.

        Raises:
            I2iError: of any kind; `refusals.status_of` knows what it means.
        """
        form = images.require_format(request.form)
        if request.size is not None and request.size < 1:
            raise OptionsError(f"size (={request.size}) must be at least 1.")
        deadline = time.monotonic() + self.limits.seconds
        async with self._in_house() as stack:
            model = await self._use(stack, request.wanted)
            if images.needs_files(model.translator):
                return await self._translate_file(stack, request, form, model, gone, deadline)
            read = partial(self._read, stack, request, form, model.translator)
            with model.batcher.coming():
                found, path, keys = await self._in_thread(read)
                futures = [
                    model.batcher.submit(
                        key, image.pixels, weight=image.pixels.size, deadline=deadline
                    )
                    for key, image in zip(keys, found.images, strict=True)
                ]
            made = await _results(futures, gone, deadline)
            results = [
                image._replace(pixels=pixels)
                for image, pixels in zip(found.images, made, strict=True)
            ]
            self.images.add(len(results), model=request.wanted.name)
            result = found._replace(images=results)
            return await self._in_thread(partial(images.encode, result, form, path.parent))

    async def _translate_file(
        self,
        stack: ExitStack,
        request: TranslateRequest,
        form: str,
        model: Loaded,
        gone: Gone,
        deadline: float,
    ) -> bytes:
        """Let a network that takes or makes more than colours read and write its files itself, in
        its turn and alone."""
        if request.attributes or request.seed is not None or request.reference or request.domain:
            raise OptionsError(
                "domains and styles of models of label maps, or of more than colours, cannot be "
                "asked for here: use `i2i translate`."
            )

        def arrive() -> Path:
            path = stack.enter_context(images.stored(request.image))
            stack.enter_context(self.admission.image(images.count_pixels(path, request.size)))
            return path

        path = await self._in_thread(arrive)
        work = Alone(lambda translator: images.translate(translator, path, form, request.size))
        future = model.batcher.submit(work, None, deadline=deadline)
        made: list[bytes] = await _results([future], gone, deadline)
        self.images.add(1, model=request.wanted.name)
        return made[0]

    async def sample(self, request: SampleRequest, gone: Gone) -> list[bytes]:
        """The files of images from noise, one for each seed.

        Raises:
            I2iError: of any kind.
        """
        form = images.require_format(request.format)
        wanted = self.wanted(request.model, request.checkpoint)
        self.require_seeds(request.seeds)
        if request.truncation is not None and request.truncation <= 0:
            raise OptionsError(f"truncation (={request.truncation}) must be more than 0.")
        deadline = time.monotonic() + self.limits.seconds
        async with self._in_house() as stack:
            model = await self._use(stack, wanted)
            sampler = model.sampler
            key = Sampling(
                None if request.label is None else str(request.label),
                tuple(sorted((request.codes or {}).items())),
                request.truncation,
                request.noise,
            )
            stack.enter_context(self.admission.image(len(request.seeds) * sampler.size**2))
            future = model.batcher.submit(
                key, request.seeds, weight=len(request.seeds) * sampler.size**2, deadline=deadline
            )
            [made] = await _results([future], gone, deadline)
            self.images.add(len(made), model=wanted.name)
            return await self._in_thread(lambda: images.encode_samples(sampler, made, form))

    async def with_sampler(
        self, wanted: Wanted, count: int, function: Callable[[Sampler], Any], gone: Gone
    ) -> Any:
        """What a function makes of a sampler, in turn with everything else that is asked of it.

        Arguments:
            wanted: the model.
            count: images that it makes.
            function: of the sampler.
            gone: see `Gone`.
        """
        if count > self.limits.samples:
            raise TooLargeError(
                f"{count} images are asked for, and {self.limits.samples} are the most at once."
            )
        deadline = time.monotonic() + self.limits.seconds
        async with self._in_house() as stack:
            model = await self._use(stack, wanted)
            size = model.sampler.size
            stack.enter_context(self.admission.image(count * size**2))
            future = model.batcher.submit(Alone(function), None, deadline=deadline)
            [made] = await _results([future], gone, deadline)
            return made

    def require_seeds(self, seeds: Sequence[int]) -> None:
        """Raise OptionsError or TooLargeError where seeds are none."""
        if not seeds:
            raise OptionsError("seeds is empty: name at least one.")
        if len(seeds) > self.limits.samples:
            raise TooLargeError(
                f"{len(seeds)} seeds are asked for, and {self.limits.samples} are the most at once."
            )
        wrong = [seed for seed in seeds if not 0 <= seed < 2**62]
        if wrong:
            raise OptionsError(f"seeds (={wrong[0]}) must be whole numbers from 0 to 2^62 - 1.")

    def _read(
        self, stack: ExitStack, request: TranslateRequest, form: str, translator: Translator
    ) -> tuple[Frames, Path, list[Translation]]:
        path = stack.enter_context(images.stored(request.image))
        pixels = images.count_pixels(path, request.size)
        stack.enter_context(self.admission.image(pixels))
        found = images.read(path, translator.input_channels, form, request.size)
        keys = [self.translation(request, translator, image.pixels) for image in found.images]
        return found, path, keys

    def translation(
        self, request: TranslateRequest, translator: Translator, pixels: AnyPixels | None = None
    ) -> Translation:
        """How a request wants images translated: those that are like some pixels, (H, W, C)."""
        shape, dtype = ((), "") if pixels is None else (pixels.shape, str(pixels.dtype))
        asked = request.attributes or request.domain
        key = Translation(shape, dtype, asked, request.seed)
        if request.reference is None:
            return key
        with images.stored(request.reference) as path, ExitStack() as stack:
            stack.enter_context(self.admission.image(images.count_pixels(path)))
            reference = read_image(path, translator.input_channels)
        return Translation(shape, dtype, asked, None, reference.tobytes(), reference.shape)

    @asynccontextmanager
    async def _in_house(self) -> AsyncIterator[ExitStack]:
        """A stack that a thread unwinds: files are deleted and models dropped on the way, and
        nobody else shall wait for that."""
        stack = ExitStack()
        try:
            yield stack
        except BaseException as error:
            what = (type(error), error, error.__traceback__)
            if not await self._in_thread(partial(stack.__exit__, *what)):
                raise
        else:
            await self._in_thread(stack.close)

    async def _use(self, stack: ExitStack, wanted: Wanted) -> Loaded:
        use = self.models.use(wanted)
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._loaders, use.__enter__)
        stack.push(use)
        return model

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def metrics(self) -> str:
        """Everything that is counted, for Prometheus."""
        loaded = self.models.loaded()
        models: dict[metrics.Labels, float] = {
            (("checkpoint", each.wanted.checkpoint), ("model", each.wanted.name)): each.nbytes
            for each in loaded
        }
        gauges: list[tuple[str, str, dict[metrics.Labels, float]]] = [
            ("i2i_requests_active", "Requests being answered.", {(): self.admission.requests}),
            ("i2i_pixels_active", "Pixels of images in memory.", {(): self.admission.pixels}),
            ("i2i_jobs_waiting", "Jobs that wait.", {(): sum(len(e.batcher) for e in loaded)}),
            ("i2i_models_loaded", "Models in memory.", {(): len(loaded)}),
            ("i2i_model_loads", "Models loaded since the start.", {(): self.models.loads}),
            ("i2i_model_bytes", "Bytes of the weights of a model in memory.", models),
            (
                "process_resident_memory_bytes",
                "Resident memory.",
                {(): metrics.resident_bytes()},
            ),
        ]
        return metrics.render(
            [
                *(self.requests, self.seconds, self.batches, self.images),
                *(metrics.Gauge(*each) for each in gauges),
            ]
        )


async def _results(futures: Sequence[Future[Any]], gone: Gone, deadline: float) -> list[Any]:
    """Wait for results, the end of the time, or for the client to go.

    Raises:
        ExpiredError, GoneError: the latter two; what is not begun then is not done.
        I2iError: what went wrong with the first that did.
    """
    own = asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
    own.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is known
    left = gone()
    try:
        await asyncio.wait(
            {own, left},
            timeout=max(0.0, deadline - time.monotonic()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if own.done():
            return own.result()
        own.cancel()
        if left.done():
            raise GoneError("the client has gone.")
        raise ExpiredError("the answer was not ready in time: try again when there is less to do.")
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
        raise TooLargeError("the image does not fit into the memory of this server.") from error
    finally:
        left.cancel()


def base64_of(data: bytes) -> str:
    """Bytes as text, for JSON."""
    return base64.b64encode(data).decode("ascii")

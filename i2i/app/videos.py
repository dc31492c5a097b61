"""Videos of a page, translated frame after frame, with word of how far each is.

An answer is one stream: lines of JSON, {"done", "total"} as the frames go by, then {"bytes",
"format"} and that many bytes, the file; or {"error"}. Who hangs up ends the work, and nothing is
left of it.
"""

import asyncio
import contextlib
import json
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from torch import Tensor

from i2i.app.images import needs_files
from i2i.app.models import Alone, Loaded, Translation
from i2i.app.refusals import GoneError
from i2i.app.service import Service, TranslateRequest
from i2i.data.video.files import SUFFIXES, result_suffix
from i2i.data.video.read import VideoReader
from i2i.errors import DataError, I2iError, OptionsError
from i2i.inference.streams import StreamOptions
from i2i.inference.streams.video import Videos
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory

log = logging.getLogger("i2i.app")

AT_ONCE = 2
"""Videos that are translated at the same time; others wait."""

LOOK = 0.3
"""Seconds between two looks at how far one is."""

PIECE = 2**18
"""Bytes of the result that are sent together."""

BATCH = 4
"""Frames that are computed together; images of others take their turn between."""


class VideoTranslations:
    """Translates videos with the models of a service.

    Arguments:
        service: whose models and limits they are.
        is_closing: whether the application is about to stop, which ends what is not done.
    """

    def __init__(self, service: Service, is_closing: Callable[[], bool] = lambda: False) -> None:
        self._service = service
        self._is_closing = is_closing
        self._threads = ThreadPoolExecutor(AT_ONCE, "videos")

    def close(self) -> None:
        """Take nothing more."""
        self._threads.shutdown(cancel_futures=True)

    def translate(self, request: TranslateRequest) -> AsyncIterator[bytes]:
        """The answer to a request whose `image` is a video and whose `form` is what its name ends
        in, without the dot: the result has the same, where that can be written.

        Raises:
            OptionsError, NotFoundError: it is no video by its name, or there is no such model.
        """
        ending = f".{request.form.lower()}"
        if ending not in SUFFIXES:
            endings = ", ".join(sorted(each[1:] for each in SUFFIXES))
            raise OptionsError(f"format (={request.form!r}) must be one of videos: {endings}.")
        self._service.models.place(request.wanted.name)
        return self._answer(request, ending)

    async def _answer(self, request: TranslateRequest, ending: str) -> AsyncIterator[bytes]:
        begin = partial(_Work, self._service, request, ending, self._is_closing)
        work = await asyncio.get_running_loop().run_in_executor(None, begin)
        future = self._threads.submit(work.run)
        told = None
        try:
            while not future.done():
                if told != (told := (work.done, work.total)):
                    yield _line(done=work.done, total=work.total)
                await asyncio.sleep(LOOK)
            if (error := future.exception()) is not None:
                yield _line(error=work.in_words(error))
                return
            yield _line(done=work.done, total=work.done)
            yield _line(bytes=work.target.stat().st_size, format=work.target.suffix[1:])
            with work.target.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        finally:
            work.left.set()
            future.cancel()
            future.add_done_callback(lambda _: work.folder.cleanup())


def _line(**told: int | str) -> bytes:
    return json.dumps(told).encode() + b"\n"


class _Work:
    """A video on its way, in a folder of its own."""

    def __init__(
        self,
        service: Service,
        request: TranslateRequest,
        ending: str,
        is_closing: Callable[[], bool],
    ) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="i2i-")
        self.source = Path(self.folder.name, f"upload{ending}")
        self.target = Path(self.folder.name, f"result{result_suffix(self.source)}")
        self.source.write_bytes(request.image)
        self.left = threading.Event()
        self.done = self.total = 0
        self._service = service
        self._request = request
        self._is_closing = is_closing

    def run(self) -> None:
        """Translate it.

        Raises:
            I2iError: it cannot be, or nobody wants it any more.
        """
        service, request = self._service, self._request
        with contextlib.ExitStack() as stack:
            model = stack.enter_context(service.models.use(request.wanted))
            if needs_files(model.translator):
                raise OptionsError("this model takes or makes more than colours: send it images.")
            key = service.translation(request, model.translator)
            stack.enter_context(service.admission.image(self._pixels()))
            how = StreamOptions(size=request.size, batch_size=BATCH, progress=self._note)
            suffix = self.target.suffix
            Videos().translate(_InTurn(model, key), self.source, self.target, suffix, how)
            service.images.add(self.done, model=request.wanted.name)

    def in_words(self, error: BaseException) -> str:
        """What is wrong, without where it lies."""
        if isinstance(error, I2iError):
            return str(error).replace(f"'{self.source}'", "the video")
        if isinstance(error, OUT_OF_MEMORY) and is_out_of_memory(error):
            return "The frames of the video do not fit into the memory: give a shorter side."
        log.error("a video could not be translated", exc_info=error)
        return "The video could not be translated; where i2i app was started it says why."

    def _pixels(self) -> int:
        """Of a frame, before and after it is resized, whichever are more."""
        with VideoReader(self.source) as reader:
            width, height = reader.width, reader.height
        scale = (self._request.size or 0) / min(width, height)
        return max(width * height, round(width * scale) * round(height * scale))

    def _note(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self.left.is_set():
            raise GoneError("the client has gone.")
        if self._is_closing():
            raise DataError("The video is not done: the application is being stopped.")


class _InTurn:
    """Translates frames in turn with everything else that is asked of a model."""

    def __init__(self, model: Loaded, key: Translation) -> None:
        self.input_channels = model.translator.input_channels
        self.output_channels = model.translator.output_channels
        self._model = model
        self._key = key

    def __call__(self, images: Tensor, *, labels: Tensor | None = None) -> Tensor:
        compute = Alone(lambda translator: self._key.translate(translator, images))
        made: Tensor = self._model.batcher.submit(compute, None).result()
        return made

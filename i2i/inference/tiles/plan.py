"""Which values of a network are kept, and the passes over tiles that compute them."""

import math
import tempfile
from collections.abc import Callable, Iterator, Set
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from i2i.inference.tiles.layers import Normalise, Region
from i2i.inference.tiles.program import Step, trace

SMALLEST_TILE = 16
"""Tiles have at least this many values a side; below it, their margins are most of the work."""

Read = Callable[[Region], Tensor]
Write = Callable[[Region, Tensor], None]

WORKSPACE = 1.25
"""What a convolution takes besides its input and output, in parts of both: on the CPU both are
copied into another order. Calibrated with `scripts/measure_tiles.py`."""


class Plan:
    """How a network translates an image of one size, at once or tile by tile.

    Of the values that convolutions compute, those are kept that take more multiply-adds per number
    to compute again, from what is kept before, than the network takes on average. Kept as well is
    what several steps read and several values were joined to (the trunk of a residual network,
    which would otherwise be added up from all its blocks again and again), and everything that is
    subject to chance.

    Nothing of a plan changes when it is used: threads may share it.

    Arguments:
        network: in eval mode, (1, `channels`, `height`, `width`) -> an image; or what `trace` has
            written down of it.

    Raises:
        UntileableError: the network contains a layer that cannot be computed in parts.
    """

    def __init__(
        self, network: nn.Module | list[Step], channels: int, height: int, width: int
    ) -> None:
        self.steps = trace(network) if isinstance(network, nn.Module) else network
        self.result = len(self.steps) - 1
        self.channels: list[int] = []
        self.whole: list[Region] = []
        for step in self.steps:
            if step.layer is None:
                self.channels.append(channels)
                self.whole.append(Region((0, height), (0, width)))
                continue
            shape = self.whole[step.inputs[0]]
            lengths = [step.layer.length(shape[axis][1], axis) for axis in (0, 1)]
            self.channels.append(step.layer.channels([self.channels[i] for i in step.inputs]))
            self.whole.append(Region((0, lengths[0]), (0, lengths[1])))

        self.costs = [step.layer.cost if step.layer else 0.0 for step in self.steps]
        self.kept = self._choose()
        self.gathered = {step.inputs[0] for step in self.steps if type(step.layer) is Normalise}
        self.passes = sorted(self.gathered | self.kept - {0})
        # Until which pass each kept value is read; the result stays.
        self.last_pass = {
            index: last
            for last in self.passes
            for index in self._needs(last, self.whole[last], self.kept)
            if index in self.kept
        } | {self.result: self.result + 1}

    def _choose(self) -> set[int]:
        costs = self.costs
        numbers = [self._numbers(index, whole) for index, whole in enumerate(self.whole)]
        convolutions = [index for index, cost in enumerate(costs) if cost]
        total = sum(costs[index] * numbers[index] for index in convolutions)
        average = total / max(1, sum(numbers[index] for index in convolutions))
        readers = [sum(i in step.inputs for step in self.steps) for i in range(len(self.steps))]

        kept = {0, self.result}
        again: list[frozenset[int]] = []  # what is to be computed again to have the value
        for index, step in enumerate(self.steps):
            anew = frozenset({index}).union(*(again[i] for i in step.inputs if i not in kept))
            cost = sum(costs[i] * numbers[i] for i in anew)
            if (
                (index in convolutions and cost >= average * numbers[index])
                or (len(step.inputs) > 1 and readers[index] > 1)
                or step.by_chance
            ):
                kept.add(index)
            again.append(anew)
        return kept

    def run(
        self, image: Tensor, tile: int, device: torch.device, *, in_file: bool = False
    ) -> Tensor:
        """Translate an image.

        Arguments:
            image: (1, C, H, W), floating point, on the CPU.
            tile: side of the tiles, in pixels of the image, from `SMALLEST_TILE` on.
            device: where the network is and what computes; a tile is there at a time.
            in_file: put what is kept into a temporary file that is mapped into memory, from where
                the system can write it to the disk.

        Returns:
            the translation, on the CPU.
        """
        rows, columns = self.whole[self.result]
        shape = (1, self.channels[self.result], rows[1], columns[1])
        result: list[Tensor] = []

        def read(region: Region) -> Tensor:
            return _part(image, self.whole[0], region)

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "result" if in_file else None

            def write(region: Region, values: Tensor) -> None:
                if not result:
                    result.append(_allocate(shape, values.dtype, file))
                _part(result[0], self.whole[self.result], region).copy_(values)

            self._run(read, write, tile, device, Path(folder) if in_file else None)
        return result[0]

    def stream(
        self,
        read: Read,
        write: Write,
        tile: int,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> None:
        """Translate an image that is nowhere in memory; what is kept is in a temporary file.

        Arguments:
            read: returns a part of the image, (1, C, rows, columns), floating point; parts overlap,
                and each is asked for as often as the passes need it.
            write: is given each part of the translation once, where the network is.
            tile, device: as for `run`.
            progress: called with how many parts are computed, in all passes, and how many there
                are.
        """
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            self._run(read, write, tile, device, Path(folder), progress)

    def _run(
        self,
        read: Read,
        write: Write,
        tile: int,
        device: torch.device,
        folder: Path | None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        total = sum(1 for index in self.passes for _ in self._tiles(index, tile))
        done = 0
        kept: dict[int, Tensor] = {}
        statistics: dict[int, tuple[Tensor, Tensor]] = {}
        for index in self.passes:
            sums = torch.zeros(2, self.channels[index], dtype=torch.float64)
            for region in self._tiles(index, tile):
                values = self._evaluate(index, region, read, kept, statistics, device)
                if index in self.gathered:
                    sums += _sums(values)
                if index == self.result:
                    write(region, values)
                elif index in self.kept:
                    if index not in kept:
                        rows, columns = self.whole[index]
                        shape = (1, self.channels[index], rows[1], columns[1])
                        kept[index] = _allocate(shape, values.dtype, folder and folder / str(index))
                    _part(kept[index], self.whole[index], region).copy_(values)
                precision = torch.promote_types(values.dtype, torch.float32)
                del values
                done += 1
                progress(done, total)
            if index in self.gathered:
                mean, square = sums / self.whole[index].area
                variance = (square - mean.square()).clamp_(min=0)
                statistics[index] = (mean.to(device, precision), variance.to(device, precision))
            kept = {i: value for i, value in kept.items() if self.last_pass[i] > index}

    def _tiles(self, index: int, tile: int) -> Iterator[Region]:
        """Cut a value into parts of about equal size, each for `tile` x `tile` pixels."""
        spans = []
        for axis in (0, 1):
            length, of_image = self.whole[index][axis][1], self.whole[0][axis][1]
            side = max(SMALLEST_TILE, tile * length // of_image)
            count = -(-length // side)
            edges = [length * i // count for i in range(count + 1)]
            spans.append(list(pairwise(edges)))
        for rows in spans[0]:
            for columns in spans[1]:
                yield Region(rows, columns)

    def _needs(self, target: int, region: Region, kept: Set[int]) -> dict[int, Region]:
        """Return which part of which value must be there to compute a part of one."""
        needs = {target: region}
        for index in range(target, 0, -1):
            if index not in needs or (index in kept and index != target):
                continue
            for i in self.steps[index].inputs:
                part = self._reach(self.steps[index], needs[index])
                needs[i] = _hull(needs[i], part) if i in needs else part
        return dict(sorted(needs.items()))

    def _reach(self, step: Step, want: Region) -> Region:
        assert step.layer is not None
        whole = self.whole[step.inputs[0]]
        rows, columns = (step.layer.reach(want[axis], whole[axis][1], axis) for axis in (0, 1))
        return Region(rows, columns)

    def _evaluate(
        self,
        target: int,
        region: Region,
        read: Read,
        kept: dict[int, Tensor],
        statistics: dict[int, tuple[Tensor, Tensor]],
        device: torch.device,
    ) -> Tensor:
        """Compute a part of a value from what is kept."""
        needs = self._needs(target, region, self.kept)
        there = {index for index in needs if index == 0 or (index in self.kept and index != target)}
        last_use = {
            i: index for index in sorted(needs.keys() - there) for i in self.steps[index].inputs
        }
        tiles: dict[int, Tensor] = {}
        for index, want in needs.items():
            if index in there:
                part = _part(kept[index], self.whole[index], want) if index else read(want)
                tiles[index] = part.to(device)
                continue
            step = self.steps[index]
            assert step.layer is not None
            have = self._reach(step, want)
            parts = [_part(tiles[i], needs[i], have) for i in step.inputs]
            if type(step.layer) is Normalise:
                parts += statistics[step.inputs[0]]
            if step.in_place and step.inputs[0] in there:
                parts[0] = parts[0].clone()
            tiles[index] = step.layer(parts, have, want, self.whole[step.inputs[0]])
            del parts
            for i in step.inputs:
                if last_use[i] == index:
                    tiles.pop(i, None)
        return tiles[target]

    def memory_untiled(self, itemsize: int = 4) -> int:
        """Estimate what the network takes for the whole image at once.

        Arguments:
            itemsize: bytes of a number.

        Returns:
            bytes on the device, at the peak.
        """
        return itemsize * self._peak(self.result, self.whole[self.result], {0})

    def memory_tiled(self, tile: int, itemsize: int = 4) -> tuple[int, int]:
        """Estimate what `run` takes.

        Arguments:
            tile: side of the tiles.
            itemsize: bytes of a number.

        Returns:
            bytes on the device for a tile, and bytes on the host for what is kept, at the peak of
            each.
        """
        on_device = on_host = 0
        for index in self.passes:
            tiles = list(self._tiles(index, tile))
            on_device = max(on_device, self._peak(index, tiles[len(tiles) // 2], self.kept))
            held = (i for i in self.kept - {0} if i <= index <= self.last_pass[i])
            on_host = max(on_host, sum(self._numbers(i, self.whole[i]) for i in held))
        return itemsize * on_device, itemsize * on_host

    def _numbers(self, index: int, region: Region) -> int:
        return self.channels[index] * region.area

    def _peak(self, target: int, region: Region, kept: Set[int]) -> int:
        """Count the numbers that are in memory together while a part of a value is computed."""
        needs = self._needs(target, region, kept)
        owner: dict[int, int] = {}  # of the memory that each value is in
        last_use = {}
        for index in needs:
            inputs = () if index in kept and index != target else self.steps[index].inputs
            in_place = self.steps[index].in_place and inputs and inputs[0] not in kept
            owner[index] = owner[inputs[0]] if in_place else index
            last_use.update({owner[i]: index for i in (*inputs, index)})

        peak = 0
        live: dict[int, int] = {}
        for index, region in needs.items():
            live.setdefault(owner[index], self._numbers(index, region))
            now = sum(live.values())
            if self.costs[index] and (index not in kept or index == target):
                [i] = self.steps[index].inputs
                both = self._numbers(index, region) + self._numbers(i, needs[i])
                now += int(WORKSPACE * both)
            peak = max(peak, now)
            live = {i: numbers for i, numbers in live.items() if last_use[i] > index}
        return peak


def _part(values: Tensor, have: Region, want: Region) -> Tensor:
    """Return a view of the part `want` of a value, of which `values` is the part `have`."""
    for axis in (0, 1):
        start, stop = want[axis]
        values = values.narrow(2 + axis, start - have[axis][0], stop - start)
    return values


def _hull(one: Region, other: Region) -> Region:
    rows, columns = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
    return Region(rows, columns)


def _sums(values: Tensor) -> Tensor:
    """Return for each channel the sum and the sum of squares, (2, C) in double precision."""
    if values.device.type == "mps":  # which has no double precision
        values = values.cpu()
    sums = []
    for part in values[0].flatten(1).split(8):  # a few channels, not to double the memory
        part = part.double()
        sums.append(torch.stack([part.sum(1), torch.linalg.vecdot(part, part)]))
    return torch.cat(sums, dim=1).cpu()


def _allocate(shape: tuple[int, ...], dtype: torch.dtype, file: Path | None) -> Tensor:
    """Return memory for a value on the host; with `file`, memory that is mapped to it."""
    if file is None:
        return torch.empty(shape, dtype=dtype)
    size = math.prod(shape)
    return torch.from_file(str(file), shared=True, size=size, dtype=dtype).reshape(shape)

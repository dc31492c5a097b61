"""What was measured of a training, as lines for a person."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i.config import Options
    from i2i.training.capacity import Line
    from i2i.training.cost import Estimate


def estimate_lines(measured: "Estimate", options: "Options", samples: int) -> list[str]:
    """Parameters, a step, an epoch of so many samples, and the whole run."""
    from i2i.training.build import run_length
    from i2i.training.pace import when_shown

    epoch = -(-samples // measured.batch_size)
    steps = run_length(options, samples)
    grown = " of the last stage, the slowest" if options.growth else ""
    rows = [(name, f"{count:,} parameters") for name, count in measured.parameters.items()]
    rows += [
        (
            "a step",
            f"{measured.seconds:.3g} s, {measured.operations / 1e9:.3g} G operations{grown}",
        ),
        (
            "its traffic",
            f"{_bytes(measured.traffic)} of memory at least: "
            f"{measured.operations / measured.traffic:.2g} operations for each byte",
        ),
        ("memory", f"{_bytes(measured.memory)} at most"),
        ("an epoch", f"{epoch} steps, {duration(epoch * measured.seconds)}"),
        ("the whole run", f"{steps} steps, {duration(steps * measured.seconds)}"),
        ("image grids", when_shown(options.train)),
    ]
    width = max(len(name) for name, _ in rows)
    return [
        f"{options.model} at {options.data.cropped} pixels, {measured.batch_size} in a step, "
        f"{options.train.precision}, on {measured.device} (measured in {measured.steps} steps on "
        "random images, after those to warm up; reading images is not in it):",
        *(f"  {name:{width}}  {text}" for name, text in rows),
    ]


def batch_size_lines(line: "Line", free: int | None, samples: int) -> list[str]:
    """Which batch sizes fit into the memory that is free."""
    from i2i.training.capacity import fitting

    how = (
        f"memory was measured at {' and '.join(map(str, sorted(line.at)))} in a step and taken to "
        f"be linear: {line.per_image / 1e6:.3g} MB for each image"
    )
    if line.per_image <= 0:
        return [f"Batch sizes: images take too little memory to be seen ({how})."]
    if free is None:
        return [f"Batch sizes: how much memory is free cannot be told here ({how})."]
    powers = list(map(str, fitting(line, free, max(samples, *line.at))))
    shown = [*powers[:3], "...", *powers[-2:]] if len(powers) > 6 else powers
    fit = ", ".join(shown) or "none"
    return [f"Batch sizes that fit into the {_bytes(free)} that are free: {fit}", f"  ({how})"]


def duration(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if days < 2 else f"{days:.1f} days"


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.3g} GB"

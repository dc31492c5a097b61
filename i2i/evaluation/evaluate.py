"""Evaluations in one call, for programs and notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.core.size import AnySize
from i2i.evaluation.comparisons import Comparison
from i2i.evaluation.depth import Span
from i2i.evaluation.figures import MEASURES, Evaluation, require_measures
from i2i.evaluation.folders import folder_comparisons
from i2i.evaluation.measure import evaluate, possible, require_possible
from i2i.evaluation.runs import run_comparisons
from i2i.evaluation.tools import find_tools


def evaluate_folders(
    result: Path | str,
    reference: Path | str,
    *,
    measures: Sequence[str] = (),
    domains: bool = False,
    count: int | None = None,
    size: AnySize | None = None,
    span: Span | None = None,
    **tools: Any,
) -> list[Evaluation]:
    """Measure the images in a folder beside the real ones in another.

    Arguments:
        result: what was made.
        reference: real images; those of the same name are compared one by one as well.
        measures: some of `i2i.evaluation.figures.MEASURES`; by default everything that is possible.
        domains: whether the sub-folders are domains, which are then measured one by one.
        count: how many images of each folder are looked at.
        size: bring each image to this size: the side of a square, or (width, height).
        span: the values of black and white, for files of more than 8 bits.
        tools: `features`, `weights`, `device` and `seed`, as for `i2i.evaluation.tools.find_tools`.

    Returns:
        one evaluation, or one for each domain.

    Raises:
        OptionsError: there is no such measure.
        DataError: the folders have no images, or a measure needs something that they do not have.
    """
    require_measures(measures)
    comparisons = folder_comparisons(
        Path(result), Path(reference), domains=domains, count=count, size=size, span=span
    )
    return measured(comparisons, measures, tools)


def evaluate_run(
    checkpoint: Path | str | None = None,
    *,
    dataroot: str | None = None,
    table: str = "",
    split: str = "val",
    measures: Sequence[str] = (),
    best: bool | str = False,
    average: bool | None = None,
    count: int | None = None,
    **tools: Any,
) -> list[Evaluation]:
    """Measure what a run makes of the held-out images of its data set.

    Arguments:
        checkpoint: a file or a run folder; by default the newest run under `runs`.
        dataroot: the data set; by default that of the run.
        table: of the attributes of its images, where it is not that of the run.
        split: of the data set: "train", "val" or "test".
        measures: some of `i2i.evaluation.figures.MEASURES`; by default everything that is possible.
        best: whether to take the checkpoint with the best validation, not the last one.
        average: whether the moving average of the generator is used; by default if there is one.
        count: how many held-out images are looked at.
        tools: as for `evaluate_folders`.

    Returns:
        one evaluation for each thing that the model does: for each direction or domain, say.

    Raises:
        I2iError: the checkpoint or the data are not as they should be; and as `evaluate_folders`.
    """
    require_measures(measures)
    found = run_comparisons(
        None if checkpoint is None else Path(checkpoint),
        dataroot=dataroot,
        table=table,
        split=split,
        average=average,
        best=best,
        device=tools.get("device", "auto"),
        count=count,
        asked=measures,
    )
    return measured(found.comparisons, measures, tools)


def measured(
    comparisons: Sequence[Comparison], measures: Sequence[str], tools: dict[str, Any]
) -> list[Evaluation]:
    """Measure comparisons, as far as each has what a measure needs.

    Arguments:
        comparisons: what is compared with what.
        measures, tools: as for `evaluate_run`.
    """
    require_possible(comparisons, measures)
    needed = set(measures or MEASURES)
    if not measures and not any(each.pairs for each in comparisons):
        needed.remove("lpips")
    found = find_tools(needed, **tools)
    return [
        evaluate(each, found, chosen)
        for each in comparisons
        if (chosen := possible(each, measures)) or not measures
    ]

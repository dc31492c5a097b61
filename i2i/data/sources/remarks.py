"""What a person should know of the data of a run before it starts."""

from i2i.config import LabelledData, Options
from i2i.data.inspection.examine import brief
from i2i.data.sources.root import find_root
from i2i.data.sources.source import Source, table_file


def remarks(options: Options, kind: str, source: Source) -> list[str]:
    """A few lines for each data set in which something is likely to be a mistake.

    They follow from what the check of the images has seen: nothing is decoded. Of images that
    are no files of their own, such as MNIST, nothing is said.

    Arguments:
        options: of the run, settled.
        kind: what the model learns from.
        source: of these options.

    Raises:
        DataError: the data is no longer there.
    """
    if len(source.unlooked):
        return [
            f"note: of {len(source.unlooked)} images a sample was looked at, and the others are "
            "while the training goes on; copies, sizes and classes of all: i2i doctor (or --check "
            "all)."
        ]
    if not source.checked.looks:
        return []
    data = options.data
    lines = []
    root_b = find_root(data.root_b, kind, data, side="B") if data.root_b else None
    each: LabelledData
    for each in (data, *data.more):
        root = find_root(each.root, kind, data)
        lines += brief(
            root,
            kind,
            source.checked,
            crop_size=data.crop_size,
            resize=data.resize,
            root_b=root_b,
            table=table_file(each.table, root) if each.table else None,
            domains=each.domains,
            attributes=each.attributes,
            rules=data,
            copies=data.look_for_copies,
        )
    return lines

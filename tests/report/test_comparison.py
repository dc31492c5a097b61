"""Runs that are compared: what is a variant, and what its figures are worth."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import complaint, invoke
from run_folder import make_run

from i2i.errors import OptionsError, RunError
from i2i.metrics.significance import holm, paired_t, wilcoxon
from i2i.report.comparison import ComparisonTable, compare
from i2i.report.comparison_page import comparison_page
from i2i.report.comparison_text import as_csv, as_json, as_latex, as_text, latex, number
from i2i.report.record import read_record
from i2i.report.variants import ComparedRun, Figures, last_validation, repeat_of, variants


def run(
    folder: Path, options: Mapping[str, Any], figures: Figures | None = None, tag: str = ""
) -> ComparedRun:
    if not folder.exists():
        make_run(folder)
        text = (folder / "options.toml").read_text()
        for name, value in options.items():
            table, _, key = name.rpartition(".")
            lines = text.split(f"[{table}]\n")
            body = "\n".join(
                line for line in lines[1].split("\n") if not line.startswith(f"{key} =")
            )
            text = f"{lines[0]}[{table}]\n{key} = {json.dumps(value)}\n{body}"
        (folder / "options.toml").write_text(text)
        if tag:
            about = json.loads((folder / "environment.json").read_text())
            (folder / "environment.json").write_text(json.dumps({**about, "tags": [tag]}))
    record = read_record(folder)
    return ComparedRun(folder, record, figures or last_validation(record), repeat_of(record))


IMAGES = [f"{number}.png" for number in range(12)]


def measured(seed: int, better: float) -> Figures:
    """PSNR of twelve images, and their mean; each variant finds other images easy."""
    draw = np.random.default_rng(seed)
    values = 20 + better + draw.normal(0, 0.1, 12) + np.arange(12) / 4
    each = {"psnr": dict(zip(IMAGES, values.tolist(), strict=True))}
    return Figures({"psnr": float(values.mean()), "fid(inception)": 50 - better + seed / 10}, each)


@pytest.fixture
def table(tmp_path: Path) -> ComparisonTable:
    runs = [
        run(
            tmp_path / f"{name}-{seed}",
            {"objective.l1": weight, "train.seed": seed},
            measured(seed + 10 * number, better),
            tag="variant:no L1" if name == "c" else "",
        )
        for number, (name, weight, better) in enumerate(
            [("a", 100, 0), ("b", 10, 0.5), ("c", 0, -1)]
        )
        for seed in range(3)
    ]
    return compare(variants(runs), said="On twelve images.")


@pytest.mark.parametrize(
    ("varied", "word"),
    [
        (["train.seed"], "seeds"),
        (["data.fold"], "folds"),
        (["train.seed", "data.fold"], "runs"),
    ],
)
def test_what_the_runs_of_a_variant_differ_in_is_named(
    tmp_path: Path, varied: list[str], word: str
) -> None:
    runs = [
        run(
            tmp_path / str(number),
            {"data.folds": 4, **dict.fromkeys(varied, number + 1)},
            measured(number, 0),
        )
        for number in range(3)
    ]
    table = compare(variants(runs))
    assert table.repeats == word
    assert f"95 % over {word}" in as_text(table)
    assert f"deviation over 3 {word}" in as_latex(table)


def test_variants_differ_in_more_than_seeds(table: ComparisonTable) -> None:
    assert [each.name for each in table.variants] == [
        "objective.l1=100",
        "objective.l1=10",
        "no L1",
    ]
    assert [len(each.runs) for each in table.variants] == [3, 3, 3]
    assert [dict(each.options) for each in table.variants] == [
        {"objective.l1": value} for value in (100, 10, 0)
    ]
    assert table.best("psnr") == "objective.l1=10"
    assert table.best("fid(inception)") == "objective.l1=100"
    assert compare(table.variants, measures=["fid"]).measures == ("fid(inception)",)


def test_figures_are_those_of_numpy_and_scipy(table: ComparisonTable) -> None:
    base, better, worse = table.of("psnr")
    values = [measured(seed, 0).values["psnr"] for seed in range(3)]
    assert base.values == tuple(values)
    assert base.mean == pytest.approx(np.mean(values))
    assert base.deviation == pytest.approx(np.std(values, ddof=1))
    assert base.images == 12
    assert base.test is None
    assert base.over_images is not None
    assert base.over_images.low < base.mean < base.over_images.high
    each = [
        np.mean([list(measured(s + 10 * n, b).images["psnr"].values()) for s in range(3)], axis=0)
        for n, b in enumerate((0, 0.5, -1))
    ]
    by_seed = [
        [measured(s + 10 * n, b).values["psnr"] for s in range(3)]
        for n, b in enumerate((0, 0.5, -1))
    ]
    over_images = [wilcoxon(each[n], each[0]) for n in (1, 2)]
    over_seeds = [paired_t(by_seed[n], by_seed[0]) for n in (1, 2)]
    fids = [[c.values for c in table.of("fid(inception)")][n] for n in (0, 1, 2)]
    over_seeds += [paired_t(fids[n], fids[0]) for n in (1, 2)]
    for cell, at in ((better, 0), (worse, 1)):
        assert cell.test is not None
        assert cell.test.over_images == over_images[at]
        assert cell.test.over_seeds == over_seeds[at]
        # Two tests over images (FID has none for each), four over seeds.
        assert cell.test.adjusted_over_images == holm(over_images)[at]  # type: ignore[arg-type]
        assert cell.test.adjusted_over_seeds == holm(over_seeds)[at]  # type: ignore[arg-type]
    assert better.test is not None
    assert better.test.difference == pytest.approx(better.mean - base.mean)
    (fid, *_) = table.of("fid(inception)")
    assert (fid.images, fid.over_images) == (0, None)


def test_variants_that_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    runs = [
        run(
            tmp_path / f"{weight}-{seed}",
            {"objective.l1": weight, "train.seed": seed},
            measured(seed + weight, 0),
            tag="variant:mine" if weight < 3 else "variant:other",
        )
        for weight in (1, 2, 3)
        for seed in range(2)
    ]
    table = compare(variants(runs))
    names = ["mine (objective.l1=1)", "mine (objective.l1=2)", "other"]
    assert [each.name for each in table.variants] == names
    assert [cell.variant for cell in table.of("psnr")] == names
    rows = [row for row in as_latex(table).splitlines() if row.startswith(("mine", "other"))]
    assert [row.count("&") for row in rows] == [len(table.measures)] * 3


def test_runs_that_differ_in_much_are_called_by_their_folders(tmp_path: Path) -> None:
    options = [f"objective.{letter}" for letter in "abcdefghi"]
    runs = [run(tmp_path / "plain", {}), run(tmp_path / "other", dict.fromkeys(options, 3))]
    table = compare(variants(runs))
    assert [each.name for each in table.variants] == ["plain", "other"]
    text = as_text(table)
    assert "9 options differ: --page and --csv show them." in text
    assert max(map(len, text.splitlines())) < 200
    assert all(option in as_csv(table) for option in options)


def test_zeros_in_the_end_are_written() -> None:
    written = [number(value) for value in (18.4, 0.52, 20.0, 1234.5, 123456.0)]
    assert written == ["18.40", "0.5200", "20.00", "1234", "1.235e+05"]
    assert [number(0.5, 2), number(12.3, 2)] == ["0.50", "12"]
    assert [number(0.25, 3, sign="+"), number(-2.5, 3, sign="+")] == ["+0.250", "-2.50"]


def test_of_few_images_and_seeds_nothing_is_claimed(tmp_path: Path) -> None:
    figures = Figures({"psnr": 1.0}, {"psnr": dict.fromkeys(IMAGES[:9], 1.0)})
    runs = [run(tmp_path / str(w), {"objective.l1": w}, figures) for w in (1, 2)]
    table = compare(variants(runs))
    cell = table.of("psnr")[1]
    assert (cell.images, cell.over_images, cell.over_seeds, cell.deviation) == (9, None, None, None)
    assert cell.test is not None
    assert (cell.test.over_images, cell.test.over_seeds) == (None, None)
    assert "9 images" in as_text(table)
    assert any("With one seed of each" in note for note in table.notes)


def test_what_is_written(table: ComparisonTable) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert len(rows) == 6
    assert rows[1]["variant"] == "objective.l1=10"
    assert float(rows[1]["mean"]) == table.of("psnr")[1].mean
    assert rows[0]["p over images, Holm"] == ""
    found = json.loads(as_json(table))
    assert [len(each["runs"]) for each in found["variants"]] == [3, 3, 3]
    text = as_text(table)
    assert "objective.l1=10 *" in text
    assert "On twelve images." in text
    page = comparison_page(table)
    assert page.count('class="sheet') >= 9 * 4
    assert "no L1 (2)" in page
    assert "<script src" not in page


def test_latex(table: ComparisonTable) -> None:
    lines = as_latex(table).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [row.split(" & ")[0] for row in body] == ["objective.l1=100", "objective.l1=10", "no L1"]
    assert all(row.count("&") == 2 and row.endswith(r" \\") for row in body)
    head = lines[lines.index(r"\toprule") + 1]
    assert head == r" & psnr $\uparrow$ & fid(inception) $\downarrow$ \\"
    assert body[1].split(" & ")[1].startswith(r"$\mathbf{")
    assert "^{*" in body[2]
    assert latex("a_b & 5% \\ {x}^2") == (r"a\_b \& 5\% \textbackslash{} \{x\}\textasciicircum{}2")


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    twice = [run(tmp_path / name, {}) for name in "ab"]
    with pytest.raises(RunError, match=r"a and .*b are the same experiment"):
        variants(twice)
    one = variants(twice[:1])
    with pytest.raises(OptionsError, match=r"'psrn' is no figure.*They have: l1"):
        compare(one, measures=["psrn"])
    with pytest.raises(OptionsError, match="There is no variant 'b'"):
        compare(one, baseline="b")


def test_the_command(tmp_path: Path) -> None:
    for weight in (1, 2):
        for seed in range(2):
            options = {"objective.l1": weight, "train.seed": seed}
            run(tmp_path / "runs" / f"l1-{weight}-{seed}", options, tag="paper")
    files = [tmp_path / f"table.{suffix}" for suffix in ("csv", "tex", "json", "html")]
    flags = ("--csv", "--latex", "--json", "--page")
    written = [word for pair in zip(flags, files, strict=True) for word in pair]
    result = invoke("compare", tmp_path / "runs", *written)
    assert result.exit_code == 0, result.output
    assert all(path.stat().st_size for path in files)
    assert "objective.l1=1" in result.output
    assert "0.21" in result.output  # the best validation, that of step 400
    only = invoke("compare", tmp_path / "runs", "--filter", "train.seed=0")
    assert "With one seed of each" in only.output
    assert "go with --split" in complaint("compare", tmp_path / "runs", "--best")
    assert "no run" in complaint("compare", tmp_path / "nowhere")


def test_runs_are_listed_filtered_and_sorted(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    for at, weight in enumerate((3, 1, 2)):
        run(folder / f"run-{at}", {"objective.l1": weight}, tag="odd" if weight % 2 else "")

    def listed(*arguments: str) -> list[dict[str, Any]]:
        result = invoke("runs", "--runs-dir", folder, "--json", *arguments)
        assert result.exit_code == 0, result.output
        found: list[dict[str, Any]] = json.loads(result.output)
        return found

    columns = ("--columns", "run,objective.l1,l1,state")
    rows = listed(*columns, "--sort", "objective.l1")
    assert [row["objective.l1"] for row in rows] == [1, 2, 3]
    assert rows[0]["l1"] == pytest.approx(0.25 - 400 / 1e4)
    assert rows[0]["state"] == "done"
    assert [r["objective.l1"] for r in listed(*columns, "--sort", "-objective.l1")] == [3, 2, 1]
    for text, expected in (
        ("tag=odd", {1, 3}),
        ("tag!=odd", {2}),
        ("objective.l1>=2", {2, 3}),
        ("objective.l1 < 2", {1}),
        ("run~run-[01]", {1, 3}),
        ("model=pix2pix", {1, 2, 3}),
    ):
        assert {row["objective.l1"] for row in listed(*columns, "--filter", text)} == expected, text
    assert "Did you mean 'objective.l1'" in complaint(
        "runs", "--runs-dir", folder, "--filter", "objectve.l1=1"
    )
    assert "None of the 3 runs is left" in complaint(
        "runs", "--runs-dir", folder, "--filter", "l1>9"
    )
    for text in ("l1>abc", "l1>", "objective.l1=one"):
        why = complaint("runs", "--runs-dir", folder, "--filter", text)
        assert "cannot be compared with" in why, text
    assert "must look like" in complaint("runs", "--runs-dir", folder, "--filter", "l1")
    plain = invoke("runs", "--runs-dir", folder, "--csv", tmp_path / "runs.csv")
    assert "pix2pix" in plain.output
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 4
    assert "There is no folder" in complaint("runs", "--runs-dir", tmp_path / "nowhere")

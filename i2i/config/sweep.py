"""A file that describes many runs, which differ in some options: a sweep."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from i2i.config.options import Options
from i2i.config.reading import explained
from i2i.config.recipes import read_toml
from i2i.config.section import Count, Section, Side
from i2i.errors import OptionsError


class Range(Section):
    """Numbers between two ends, both of them included."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = Field(False, description="every power of ten as probable as the next")
    integer: bool = Field(False, description="whole numbers alone")

    @model_validator(mode="after")
    def _has_an_inside(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low (={self.low:g}) must be below high (={self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"low (={self.low:g}) must be above 0, as log is true")
        return self


Values = Annotated[list[Any], Field(min_length=1, max_length=10_000)]


def _sort(value: Any) -> str | None:
    """Which of the two that are possible the values of an option are meant to be."""
    if isinstance(value, list):
        return "list"
    return "range" if isinstance(value, dict | Range) else None


Varied = Annotated[
    Annotated[Values, Tag("list")] | Annotated[Range, Tag("range")],
    Discriminator(
        _sort,
        custom_error_type="not_varied",
        custom_error_message="must be a list of values, or { low = ..., high = ... }",
    ),
]


class Sweep(Section):
    """Which runs there are. Option names are dotted paths, as for `--set`.

    With the method "grid" there is a run for each combination of a variant with all values of what
    is varied; "random" draws `trials` of them, and "optuna" lets its sampler propose them by how
    good the runs before have become.
    """

    name: Annotated[str, Field(max_length=100)] = Field(description="how the runs are called")
    recipe: str = Field(description="of all runs: a name, or a file")
    size: Side | None = Field(None, description="as for --size")
    method: Literal["grid", "random", "optuna"] = "grid"
    trials: Count | None = Field(None, description="random, optuna: how many runs")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="random, optuna: of what is drawn")
    set: dict[str, Any] = Field({}, description="options of all runs")
    variants: dict[str, dict[str, Any]] = Field(
        {}, description="name -> options that belong together"
    )
    vary: dict[str, Varied] = Field({}, description="option -> its values")

    @field_validator("name")
    @classmethod
    def _name_fits(cls, name: str) -> str:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"(={name!r}) may have letters, digits, '_', '.' and '-'")
        return name

    @model_validator(mode="after")
    def _method_fits(self) -> "Sweep":
        if self.method == "grid":
            if self.trials is not None:
                raise ValueError(f"trials (={self.trials}) are not for the method grid")
            for name, values in self.vary.items():
                if isinstance(values, Range):
                    raise ValueError(f"vary.{name} must be a list of values for the method grid")
        elif self.trials is None:
            raise ValueError(
                f"trials are missing: how many runs shall the method {self.method} try"
            )
        if not self.vary and not self.variants:
            raise ValueError("nothing is varied: give [vary] or [variants.NAME]")
        return self


def read_sweep(path: Path) -> Sweep:
    """Read the file of a sweep.

    Raises:
        OptionsError: it cannot be read, or is none; lists what is wrong.
    """
    found = read_toml(path)
    for name in ("set", "vary"):
        if isinstance(found.get(name), dict):
            found[name] = _dotted(found[name])
    if isinstance(found.get("variants"), dict):
        found["variants"] = {
            name: _dotted(each) if isinstance(each, dict) else each
            for name, each in found["variants"].items()
        }
    try:
        return Sweep.model_validate(found)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        elsewhere = [each for each in problems if _is_of_runs(each)]
        said = explained([_as_written(each) for each in problems if each not in elsewhere], Sweep)
        said += [_belongs(str(each["loc"][0]), each["input"]) for each in elsewhere]
        raise OptionsError(f"{path} is no sweep: {' '.join(said[:20])}") from None


def _as_written(problem: Any) -> Any:
    """A problem at the place that a person wrote: without the word for which of two it is."""
    table, *rest = problem["loc"] or ("",)
    inner = (table, *rest[:1], *rest[2:]) if table == "vary" else problem["loc"]
    return {**problem, "loc": inner}


def _is_of_runs(problem: Any) -> bool:
    """Whether a problem is a table of options beside those of a sweep."""
    known = problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1
    return known and problem["loc"][0] in (*Options.model_fields, "generator", "discriminator")


def _belongs(table: str, inner: Any) -> str:
    name = f"{table}.{next(iter(inner))}" if isinstance(inner, dict) and inner else table
    return f"{table} is for the runs: write it into [set] ({name} = ...)."


def _dotted(options: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Tables as dotted paths, but for those of a range."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        inner = isinstance(value, dict) and not {"low", "high"} <= value.keys()
        found |= _dotted(value, f"{above}{key}.") if inner else {f"{above}{key}": value}
    return found

"""What is wrong with a data set or a run, found before or after it costs a night.

`examine` reads a data set and returns a `Diagnosis`; `brief` says the same in a few lines, from
what the check before a training knows already; `examine_run` reads the log of a run.
"""

from i2i.data.inspection.examine import brief, examine
from i2i.data.inspection.finding import Diagnosis, Finding
from i2i.data.inspection.survey import Survey, detect_kind, survey
from i2i.data.inspection.usability import usability_findings
from i2i.doctor.report import as_dict, as_lines, as_text
from i2i.doctor.run import RunSummary, examine_run, is_run

__all__ = [
    "Diagnosis",
    "Finding",
    "RunSummary",
    "Survey",
    "as_dict",
    "as_lines",
    "as_text",
    "brief",
    "detect_kind",
    "examine",
    "examine_run",
    "is_run",
    "survey",
    "usability_findings",
]

#!/usr/bin/env python
"""Kill a training again and again, and compare its end bit for bit with one that was left alone.

  scripts/torture.py --kills 100 --longest 20 -- --model pix2pix --dataroot demo --steps 500

What comes after -- is given to `i2i train`. The runs are made in a temporary folder, or in --runs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from torture import differences, last, leave_alone, torture


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--longest", type=float, default=20.0, help="seconds that a process computes"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the times and the signals")
    parser.add_argument("--runs", type=Path, help="where the runs are made")
    parser.add_argument("arguments", nargs="+", help="of `i2i train`, after --")
    asked = parser.parse_args()
    runs = asked.runs or Path(tempfile.mkdtemp(prefix="torture-"))
    leave_alone(asked.arguments, runs, "whole")
    happened = torture(
        asked.arguments, runs, "killed", kills=asked.kills, longest=asked.longest, seed=asked.seed
    )
    print("\n".join(happened))
    found = differences(last(runs, "whole"), last(runs, "killed"))
    print("\n".join(found) or f"the same to the bit after {asked.kills} kills ({runs})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""How well categories that a model has found by itself agree with what is known."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment


def best_agreement(joint: npt.ArrayLike) -> float:
    """The share of images on which categories and labels agree, if each category is given the
    name of another label, in the best of all ways.

    Arguments:
        joint: (categories, labels), how often each occurs together with each; of any sum.

    Returns:
        0..1; for categories that know nothing of K equally frequent labels about 1 / K.
    """
    table = np.asarray(joint, dtype=np.float64)
    rows, columns = linear_sum_assignment(table, maximize=True)
    total = table.sum()
    return float(table[rows, columns].sum() / total) if total else 0.0

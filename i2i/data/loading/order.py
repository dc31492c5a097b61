"""The endless order in which a training sees its images.

Samples are counted from 0 over the whole training, and the count alone says which image comes.
So every batch is full (it may straddle two epochs), every image comes exactly once an epoch,
workers cannot change anything, and to resume is to go on counting.
"""

import numpy as np
import numpy.typing as npt

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 1


class EpochOrder:
    """Sample n belongs to epoch n // count and is element n % count of that epoch's permutation.

    Each epoch's permutation follows from (seed, epoch) alone.

    Args:
        count: Number of elements, at least 1.
        seed: Not negative.
    """

    def __init__(self, count: int, seed: int) -> None:
        assert count > 0
        assert seed >= 0
        self.count = count
        self.seed = seed
        self._permutations: dict[int, npt.NDArray[np.int64]] = {}

    def __call__(self, position: int) -> tuple[int, int]:
        """Return (epoch, index of the element) of the sample at `position` (0, 1, 2, ...)."""
        epoch, place = divmod(position, self.count)
        if epoch not in self._permutations:
            # A batch straddles two epochs at most times; more would only cost memory.
            while len(self._permutations) >= 2:
                del self._permutations[min(self._permutations)]
            generator = np.random.default_rng((self.seed, _STREAM, epoch))
            self._permutations[epoch] = generator.permutation(self.count)
        return epoch, int(self._permutations[epoch][place])

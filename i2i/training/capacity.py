"""Which batch sizes fit into the memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Memory as a linear function of the batch size, through two measurements.

    Attributes:
        at: the two batch sizes.
        memory: in bytes, at each of them.
    """

    at: tuple[int, int]
    memory: tuple[int, int]

    @property
    def per_image(self) -> float:
        """Bytes for each image in a step; not above 0 where it was too little to be seen."""
        (x, y), (m, n) = self.at, self.memory
        return (n - m) / (y - x)

    def __call__(self, batch_size: int) -> float:
        """Bytes for a batch."""
        return self.memory[0] + self.per_image * (batch_size - self.at[0])


def fitting(line: Line, free: int, most: int) -> list[int]:
    """The powers of two from 1 to `most` as batch sizes that take no more than `free` bytes."""
    powers = [2**exponent for exponent in range(max(most, 1).bit_length())]
    return [power for power in powers if line(power) <= free]

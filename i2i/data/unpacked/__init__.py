"""Videos and medical volumes of a data set as folders of images, which everything else can read.

Each is taken apart once, into a folder of the cache: the frames of a video as PNG, the slices of a
volume as grey PNG of 16 bits, whose black and white are the ends of its window. The data set is
then a folder of links in the cache, with the same folders and images, and `clip/000001.png`, ... in
the place of `clip.mp4`. What is in the data set stays as it is.

Frames of a video, and slices of all volumes of a patient, belong together: a split keeps them on
one side (`group_of`).
"""

from i2i.data.unpacked.groups import group_of
from i2i.data.unpacked.mirror import Unpacking, unpacked

__all__ = ["Unpacking", "group_of", "unpacked"]

"""Signs of a generator that fails: what can be told of its outputs without a judge.

Images are (N, C, H, W) in -1..1; every signal is a scalar tensor in float32.
`i2i.runs.health` says what they mean; the images are compared small, since a collapse, a copy
or a wrong colour is seen at a glance, and noise and texture are not.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 16
"""Side of the images in which the layout of brightness and colour is compared."""

COPY_SIDE = 64
"""Side of the images in which copies are looked for: stripes and edges must still be there."""

DIFFERENT = 3
"""Different images that the distance between two of them is measured with, at least."""

GRID_IMAGES = 32
"""Images whose spectra are averaged, at most: more say nothing more."""

PATCH = 64
"""Height and width of the patches whose spectra are looked at."""

FAINT = 0.03
"""Noise, in images in -1..1, below which a pattern need not stand out: nobody sees it."""

SMALLEST_GRID = 32
"""Height and width below which there are too few frequencies for `grid`."""

FINE = (1 / 8, 1 / 4)
"""Frequencies of fine detail, in periods per pixel. Above them is much noise, of cameras and of
JPEG, which a good generator leaves out as well."""

COLOURS = 3
"""Channels of images whose colours are compared: red, green and blue."""

DIRECTIONS = (
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (1.0, 1.0, 1.0),
    (1.0, -1.0, 0.0),
    (0.0, 1.0, -1.0),
    (-1.0, 0.0, 1.0),
)
"""Directions in the cube of red, green and blue along which colours are compared."""

QUANTILES = 256
"""Points of a distribution of colours that are compared."""

ROUNDING = (2 / 255) ** 2 / 12
"""Variance of what rounding to bytes adds to pixels in -1..1."""

EPSILON = 1e-6
"""Below this, differences of images in -1..1 are rounding."""


def diversity(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how different the outputs are from each other, where real images give 1.

    The mean distance between two thumbnails, divided by that of the references; 0 for a generator
    that makes the same of every input.

    Arguments:
        outputs: of at least two different inputs.
        references: at least two different real images of the same domain; where there are fewer
            of them than outputs and some are repeated, each counts once.
    """
    return _spread(outputs) / _spread(different(references)).clamp_min(EPSILON)


def copy_distance(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return how far outputs are from their own inputs, where any other input is at 1.

    0 for a generator that hands its input on. Images with different numbers of channels are
    compared in grey.

    Arguments:
        outputs, inputs: at least two images each, one output for each input.
    """
    outputs, inputs = _alike(_shrunk(outputs, COPY_SIDE), _shrunk(inputs, COPY_SIDE))
    other = (inputs - inputs.roll(1, 0)).abs().mean()
    return (outputs - inputs).abs().mean() / other.clamp_min(EPSILON)


def colour_correlation(outputs: Tensor, originals: Tensor) -> Tensor:
    """Return how much the outputs are bright and coloured where the originals are, -1..1.

    The mean of Pearson's correlation over all values of a thumbnail; -1 for a negative, 0 for an
    image without any light and shade.

    Arguments:
        outputs, originals: one output for each original (its truth, or its input).
    """
    outputs, originals = _alike(_shrunk(outputs, THUMBNAIL), _shrunk(originals, THUMBNAIL))
    a, b = (
        each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (outputs, originals)
    )
    return F.cosine_similarity(a, b, dim=1, eps=EPSILON).mean()


def colour_shift(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how far the mean colour of the outputs is from that of real images, 0..2.

    The root mean square over the channels, so that black in place of white is 2.
    """
    means = [each.float().mean(dim=(0, 2, 3)) for each in (outputs, references)]
    return (means[0] - means[1]).square().mean().sqrt()


def contrast(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how much the pixels within an output differ, where real images give 1.

    The standard deviation of a channel, as a mean over channels and images, divided by that of
    the references; 0 if every output is of one colour.
    """
    spreads = [
        each.float().flatten(2).std(dim=2, correction=0).mean() for each in (outputs, references)
    ]
    return spreads[0] / spreads[1].clamp_min(EPSILON)


def detail(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how much fine detail the outputs have, where real images give 1.

    The geometric mean of the amplitudes at frequencies of an eighth to a quarter of a period per
    pixel, over the same of the references. Gaussian blur of deviation s pixels multiplies the
    amplitude at frequency f by exp(-2 (pi s f)^2). Since the mean is a geometric one, dots, which
    fill few frequencies, do not make up for blur.

    Arguments:
        outputs, references: of at least 32 x 32 pixels.
    """
    return ((_fine(outputs) - _fine(references)) / 2).exp()


def hue(outputs: Tensor, originals: Tensor) -> Tensor:
    """Return how much more the colours of outputs are like those of their own originals than like
    those of others, -2..2.

    Of what differs from grey, the cosine between all outputs and their originals, less the mean of
    that between outputs and any other originals. 0 for colours that have nothing to do with the
    original, such as a tint of all outputs; below 0 if blue comes out yellow and yellow blue.

    Arguments:
        outputs, originals: (N, 3, H, W), at least two, one output for each original.
    """
    made, own = _chroma(outputs), _chroma(originals)
    length = (made.square().sum() * own.square().sum()).sqrt().clamp_min(EPSILON)
    count = len(made)
    each = (made * own).sum()
    others = (made.sum(0) @ own.sum(0) - each) / (count - 1)
    return (each - others) / length


def palette_distance(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how far the colours of two sets are from each other, wherever they are in the images.

    The Wasserstein distance of the colours in thumbnails along a direction in the cube of colours,
    a mean over `DIRECTIONS`: 0 to about 2, where 1 is from black to grey.

    Arguments:
        outputs, references: (N, 3, H, W), as many as there are.
    """
    return (_quantiles(outputs) - _quantiles(references)).abs().mean()


def structure(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return how much more the edges of outputs are where those of their own inputs are than where
    those of other inputs are, -2..2.

    Pearson's correlation of how strong the edges are in each of 16 x 16 fields, of an output and
    its input, less the mean of that of an output and any other input. 0 for outputs that have
    nothing to do with their inputs.

    Arguments:
        outputs, inputs: at least two, one output for each input.
    """
    alike = _edges(outputs) @ _edges(inputs).T
    count = len(alike)
    own = alike.diagonal().sum()
    others: Tensor = (alike.sum() - own) / (count * (count - 1))
    return own / count - others


def answer_distance(outputs: Tensor, again: Tensor) -> Tensor:
    """Return how far two outputs for the same input are from each other, where those for different
    inputs are at 1.

    Arguments:
        outputs, again: at least two each, of the same inputs.
    """
    outputs, again = _shrunk(outputs, COPY_SIDE), _shrunk(again, COPY_SIDE)
    other = (outputs - outputs.roll(1, 0)).abs().mean()
    return (outputs - again).abs().mean() / other.clamp_min(EPSILON)


def grid(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how far a periodic pattern stands out of the outputs, where real images give 1.

    Of the power spectrum of each patch of `PATCH` x `PATCH` pixels, the power at each frequency of
    the periods 2, 4 and 8 in either direction is divided by the median of its neighbours. The
    geometric mean of that over all patches is divided by the same of the references, if it stands
    out there (as the blocks of JPEG do); the signal is the largest of these ratios. A geometric
    mean, so that the pattern in a plain sky is not drowned by the grass of another image. Networks
    that double the size once, twice or three times repeat themselves in these periods: transposed
    convolutions leave checkerboards and dots in them.

    Arguments:
        outputs, references: of at least 32 x 32 pixels; in those below 64 no period of 8 is looked
            for.
    """
    peaks = [_prominence(each) for each in (outputs, references)]
    shared = min(len(each) for each in peaks)
    found = peaks[0][:shared] / peaks[1][:shared].clamp_min(1)
    return found.max()


def _prominence(images: Tensor) -> Tensor:
    """The power at each frequency of a grid over the median power around it.

    Periods of 2 and 4 come first, so that sets of images of different sizes can be compared.
    """
    spectra = _spectra(images) + FAINT**2
    side = spectra.shape[-1]
    # Frequencies in units of 1/8 of the sampling rate; the other half of the plane is the same.
    known = [(down, right) for down in range(5) for right in range(-3, 5) if down or right > 0]
    coarse = [each for each in known if not (each[0] % 2 or each[1] % 2)]
    fine = [each for each in known if each not in coarse] if side >= 64 else []
    at = torch.tensor(coarse + fine, device=images.device) * (side // 8)
    # A peak is three bins wide in this window.
    reach = range(-5, 6)
    around = [(y, x) for y in reach for x in reach if max(abs(y), abs(x)) >= 3]
    near = (at[:, None] + torch.tensor(around, device=images.device)) % side
    level: Tensor = spectra[:, near[..., 0], near[..., 1]].median(dim=2).values
    peaks: Tensor = spectra[:, at[:, 0] % side, at[:, 1] % side]
    return (peaks / level).log().mean(dim=0).exp()


def _spectra(images: Tensor) -> Tensor:
    """The power at each frequency of each patch (P, side, side), a mean over channels; white noise
    of variance v has v everywhere. Images smaller than a patch are one each."""
    side = min(PATCH, min(images.shape[-2:]) // 8 * 8)
    images = images[:GRID_IMAGES].float()
    patches = images.unfold(2, side, side).unfold(3, side, side).movedim(1, 3).flatten(0, 2)
    window = torch.hann_window(side, periodic=True, device=images.device)
    window = window[:, None] * window
    mean = (patches * window).sum(dim=(2, 3), keepdim=True) / window.sum()
    power: Tensor = torch.fft.fft2((patches - mean) * window).abs().square().mean(dim=1)
    return power / window.square().sum()


def _fine(images: Tensor) -> Tensor:
    """The mean logarithm of the power at the frequencies of fine detail."""
    spectrum = _spectra(images).mean(dim=0) + ROUNDING
    along = torch.fft.fftfreq(len(spectrum), device=spectrum.device).square()
    frequency = (along[:, None] + along).sqrt()
    power: Tensor = spectrum[(frequency >= FINE[0]) & (frequency <= FINE[1])]
    return power.log().mean()


def _chroma(images: Tensor) -> Tensor:
    """What is coloured in thumbnails: grey is 0 everywhere; one row for each image."""
    thumbnails = _shrunk(images, THUMBNAIL)
    return (thumbnails - thumbnails.mean(dim=1, keepdim=True)).flatten(1)


def _edges(images: Tensor) -> Tensor:
    """Where the edges of images are, (N, thumbnail), each row of mean 0 and length 1."""
    grey = _shrunk(images, COPY_SIDE).mean(dim=1, keepdim=True)
    down, right = grey.diff(dim=2)[..., :-1], grey.diff(dim=3)[..., :-1, :]
    strength = _shrunk((down.square() + right.square()).sqrt(), THUMBNAIL).flatten(1)
    return F.normalize(strength - strength.mean(dim=1, keepdim=True), dim=1, eps=EPSILON)


def _quantiles(images: Tensor) -> Tensor:
    """The distribution of the colours of thumbnails along each of the `DIRECTIONS`."""
    pixels = _shrunk(images, THUMBNAIL).movedim(1, -1).flatten(0, -2)
    directions = F.normalize(torch.tensor(DIRECTIONS, device=pixels.device), dim=1)
    steps = (torch.arange(QUANTILES, device=pixels.device) + 0.5) / QUANTILES
    along = (pixels @ directions.T).sort(dim=0).values
    return along[(steps * len(along)).long()]


def _different(images: Tensor) -> Tensor:
    """The places of the first image of each kind, (M,): copies are left out."""
    thumbnails = _shrunk(images, THUMBNAIL).flatten(1)
    _, kinds = torch.unique(thumbnails, dim=0, return_inverse=True)
    places = torch.arange(len(images), device=images.device)
    first = torch.full_like(places, len(images)).scatter_reduce(0, kinds, places, "amin")
    return first[first < len(images)].sort().values


def health_signals(
    outputs: Tensor,
    references: Tensor,
    inputs: Tensor | None = None,
    paired: bool = False,
    *,
    labels: Tensor | None = None,
    again: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the signals of one generator, by name, as the log has them below validation/health/.

    `diversity`, `copy`, `hue` and `structure` compare images with each other. They are left out for
    fewer than three, or two, different ones, since one image that comes several times says nothing.
    `copy_truth`, only for pairs, is `copy` of the truth: pairs may be nearly alike by nature.
    `palette`, not for pairs, is how much further the colours of outputs are from those of their
    references than the colours of inputs are.

    Arguments:
        outputs: what the generator made of held-out images.
        references: real images of the domain that it aims at; for pairs the truth of each output.
        inputs: what it was made of, image by image; None where there is no such thing.
        paired: whether `references` are the truth.
        labels: (N, L), what both outputs and references are; colours are compared within each.
        again: other outputs for the same inputs, of a generator of several answers.
    """
    signals = {
        "colour_shift": colour_shift(outputs, references),
        "contrast": contrast(outputs, references),
    }
    if min(*outputs.shape[-2:], *references.shape[-2:]) >= SMALLEST_GRID:
        signals["grid"] = grid(outputs, references)
        signals["detail"] = detail(outputs, references)
    real = references[_different(references)]
    places = torch.arange(len(outputs)) if inputs is None else _different(inputs)
    made = outputs[places]
    if min(len(made), len(real)) >= DIFFERENT:
        signals["diversity"] = diversity(made, real)
    if again is not None and len(places) > 1:
        signals["answers"] = answer_distance(made, again[places])
    if inputs is not None and len(places) > 1:
        signals["copy"] = copy_distance(made, inputs[places])
        if paired:
            signals["copy_truth"] = copy_distance(references[places], inputs[places])
        else:
            signals["structure"] = structure(made, inputs[places])
    original = references if paired else inputs
    if original is not None:
        signals["colour"] = colour_correlation(outputs, original)
        if len(places) > 1 and outputs.shape[1] == original.shape[1] == COLOURS:
            signals["hue"] = hue(made, original[places])
            if not paired:
                signals["palette"] = _palette(outputs, references, original, labels)
    return signals


def _palette(outputs: Tensor, references: Tensor, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """How much further outputs are from the colours of references than inputs are; where there are
    labels the mean over them, weighted by how many images have each."""
    if labels is None:
        return palette_distance(outputs, references) - palette_distance(inputs, references)
    groups, found = labels.argmax(dim=1), outputs.new_zeros(())
    for group in groups.unique():
        mine = groups == group
        further = _palette(outputs[mine], references[mine], inputs[mine], None)
        found = found + further * mine.float().mean()
    return found


def different(images: Tensor) -> Tensor:
    """Each of the images (N, C, H, W) once, in the order of their first places."""
    seen: dict[bytes, int] = {}
    for number, image in enumerate(images.cpu()):
        seen.setdefault(image.float().numpy().tobytes(), number)
    return images if len(seen) == len(images) else images[list(seen.values())]


def _shrunk(images: Tensor, side: int) -> Tensor:
    """Images of at most `side` x `side`, each pixel the mean of those that it covers."""
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, side), min(width, side)))


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are if they have the same channels, or else both in grey."""
    return (a, b) if a.shape[1] == b.shape[1] else (a.mean(1, True), b.mean(1, True))


def _spread(images: Tensor) -> Tensor:
    """The mean distance (root mean square) between two of the images."""
    thumbnails = _shrunk(images, THUMBNAIL).flatten(1)
    distances: Tensor = torch.pdist(thumbnails)
    return distances.mean() / math.sqrt(thumbnails.shape[1])

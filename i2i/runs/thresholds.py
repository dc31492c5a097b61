"""All that a verdict on a run depends on, in one place; each with its reason."""

WARM_UP = 200
"""Steps that are left out. Within them the generators still make about the same grey of everything,
and a discriminator that learns first is as it should be."""

TRAINING_ROWS = 10
"""Rows of training in succession that show a sign before it counts."""

VALIDATION_ROWS = 3
"""Validations in succession that show a sign before it counts. They are means over many images,
so three agree only if there is something."""

STARVED = 0.05
"""Discriminator wins: what it pays on the mean of real and fake, over what the generator pays for
the same scores. At equilibrium this is about 1 for the vanilla and the least-squares loss. Healthy
conditional discriminators, which have it easier, stay above 0.2; one that wins is soon at 0.001."""

WINNING_ACCURACY = 0.95
"""Discriminator wins: share of scores on the right side of the other kind's mean, at least. A
healthy discriminator reaches this as well, which is why it never is enough by itself."""

COLLAPSED = 0.15
"""Generator collapsed: diversity of the outputs over that of real images. Blurred outputs of a
healthy beginner still have half of it."""

COPIED = 0.1
"""Output copies the input, without pairs: distance of an output to its input over that of two
inputs. A tenth is a change that is hard to see."""

COPIED_OF_TRUTH = 0.4
"""The same with pairs: an output that changes less than this share of what the truth changes, while
a healthy one changes about as much. Data whose pairs are nearly alike must not be taken for a
generator that copies, and a small generator that copies is not exact."""

INVERTED = -0.2
"""Colours inverted: correlation of the output's layout of brightness and colour with that of the
original. A negative has -1, images that have nothing to do with each other 0."""

SHIFTED = 0.35
"""Colours shifted: difference of the mean colours, of 2. A sixth of the scale from black to white
is seen at once, and several times what a healthy run has after the first steps."""

EXPLODED = 100.0
"""Exploding gradients: the norm now over its median before. Healthy ones vary by a factor
of ten."""

EXPLODING_REFERENCE = 20
"""Rows before the sign, at least, that the former norm is the median of."""

BROKEN_ROWS = 3
"""Non-finite gradients among the last `TRAINING_ROWS` rows. The scaling of fp16 tries too large a
scale now and then and skips that step, which is no fault."""

STALLED_SHARE = 1 / 2
"""No progress: the share of the run so far, at least, in which the deciding measure has not been
better than its best."""

STALLED_VALIDATIONS = 10
"""The same in validations, at least."""

IMPROVING_VALIDATIONS = 5
"""Validations before which it is not said whether a run still improves."""

IMPROVING_SHARE = 1 / 4
"""A run still improves if something better came in this last share of its validations. Of a run
that is over its best, the chance that a noisy measure seems to be better by `IMPROVEMENT` in so
small a part is small; of one that is not, a quarter is long enough to show it."""

IMPROVEMENT = 0.005
"""What counts as better: by this share of the best value. Less is within the noise of a mean over a
hundred images."""

OVERFITTED = 0.5
"""Over-fitting of the discriminator: how far its scores of held-out real images have gone from
those of the real images that it learns from towards those of generated ones: r_v in equation 1 of
Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020, where
augmentation is regulated to about this value."""

DEAD_ROWS = 3
"""Dead generator: rows in succession in which its gradient is exactly zero. That needs no time to
be seen, so that the first steps are looked at too."""

RUNAWAY = 1e7
"""Losses run away: size of a player's total, at least. The largest healthy ones, of Wasserstein
critics, stay below a thousand."""

RUNAWAY_ROWS = 3
"""The same in rows in succession, the first steps included."""

FLAT = 0.05
"""Outputs are flat: contrast within an output over that of real images. A blurred beginner has
half of it; below a twentieth an output is of one colour for the eye."""

GRID = 3.0
"""Periodic pattern: how far the power at a period of 2, 4 or 8 pixels stands out of its neighbours,
where real images give 1. Runs without a pattern stay below, and those in which a person sees one
are above (see docs/health.md)."""

LATE = 1 / 3
"""Share of the run after which outputs that are worse than their inputs, or recognised no better
than by chance, are no beginner's any more."""

CHANCE = 1.05
"""Not recognised: accuracy over that of guessing, at most. With a hundred images and four domains
the accuracy of a guess varies by a sixth of itself, and it takes three validations."""

BLURRED = 0.3
"""Outputs blurred: fine detail over that of real images (see docs/health.md)."""

RECOLOURED = -0.1
"""Colours changed: how much more the colours of outputs are like those of their own originals than
like those of others. 0 would be chance; less is a change."""

UNLIKE_TARGET = 0.06
"""Colours changed: how much further the colours of outputs are from those of their target than the
colours of untouched inputs are, of 2."""

UNLIKE_INPUT = 0.1
"""Identity lost: correlation of where edges are in an output and in its input, less that by
chance. Runs that keep their inputs have 0.3 and more, outputs of other inputs about 0 (see
docs/health.md)."""

ONE_ANSWER = 0.05
"""One answer: distance of two outputs for one input over that of outputs for two inputs."""

"""What results are worth: images that were made beside real ones, in figures.

`images` are sets of images, on disk or in memory; `comparisons` says which of them belong
together, for two folders (`folders`) or for a run and its data (`runs`, with the real images of
`samples`); `measure` computes `figures`, and `report` shows and writes them.
"""

"""What results are worth: pictures that were made beside real ones, in figures.

`pictures` are sets of pictures, on disk or in memory; `comparisons` says which of them belong
together, for two folders (`folders`) or for a run and its data (`runs`, with the real pictures of
`samples`); `measure` computes `figures`, and `report` shows and writes them.
"""

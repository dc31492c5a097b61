"""From a checkpoint to something to use: translator, sampler, folders, tiles."""

"""What a run leaves behind: its folder, log, checkpoints, health and image grids."""

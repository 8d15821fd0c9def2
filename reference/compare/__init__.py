"""Two runs of one trial: how far apart they are, and how far rounding alone can take them."""

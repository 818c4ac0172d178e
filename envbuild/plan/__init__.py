"""From a recipe's model to a graph of frozen steps with keys. Pure: no I/O, no clock, no machine."""

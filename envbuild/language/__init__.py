"""From a recipe's text to a typed model with source positions. Reads recipes and nothing else."""

"""Instances: running what an image says, on its tree, with changes kept apart from it."""

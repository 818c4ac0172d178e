"""Instances: running images, with changes kept apart from the image's tree."""

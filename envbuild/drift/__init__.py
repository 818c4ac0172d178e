"""The drift of instances: what changed in them since they started, written as lines of a recipe.

It reads instances and images, builds the recipes that it writes to check them, and never prints. Must not know commands
or displays.
"""

"""What instances have become since they started, and how to write that down as lines of a recipe.

It reads instances and images, builds the recipes that it writes to see what comes of them, and never prints.
"""

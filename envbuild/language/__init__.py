"""The recipe language: from a recipe's text to a typed model with source positions. Reads recipes and nothing else.

Must not know stores, sandboxes or what statements do.
"""

"""Archives as they come from outside: tar, zip and their compression, read within limits.

Must not know images or recipes.
"""

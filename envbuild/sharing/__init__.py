"""Environments that leave this machine and come back: images as files of other tools.

Must not know recipes' language or how images are built.
"""

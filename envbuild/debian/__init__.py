"""Formats of dpkg and apt, and what they leave behind in a file system.

Must not know recipes, builds or instances.
"""

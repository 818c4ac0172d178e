"""Runs one command on one mounted tree, isolated by the kernel's namespaces.

Knows nothing of recipes, steps, images or the store. Pure Python over system calls (linux/syscalls.py).
"""

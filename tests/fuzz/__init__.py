"""Fuzz targets: one for each reader of bytes that somebody else wrote, with the contract that the reader promises.

A reader returns a value or raises one of the errors that its target names, in bounded time and memory. The suite runs
the seeds and a few hundred mutations of each (test_fuzz.py); `python -m tests.fuzz NAME --minutes 10` goes on for as
long as it is told, guided by the lines of envbuild that an input reaches.
"""

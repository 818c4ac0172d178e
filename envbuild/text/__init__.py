"""One algorithm each for texts that people read: places in a source, suggestions, widths, dates.

Must not know anything of envbuild.
"""

"""Runs a command of envbuild and prints how it ended, and how many of its modules came from a pack and how many not.

A file to execute, `python counted_modules.py WORD...`: what starts it must import nothing itself.
"""

import os
import sys

from envbuild import __main__, module_pack


def end(code):
    packed = sum(isinstance(m.__loader__, module_pack.PackedLoader) for m in module_pack.loaded())
    print(code, packed, len(module_pack.loaded()) - packed)
    sys.stdout.flush()
    leave(code)


leave, os._exit = os._exit, end
__main__.main()

"""Runs a command of envbuild and prints how it ended, and which of some modules it has imported.

A file to execute, `python loaded_modules.py "NAME NAME" WORD...`: what starts it must import nothing itself.
"""

import sys

from envbuild.cli.main import run

names, *words = sys.argv[1:]
code = run(words)
print(code, [name for name in names.split() if name in sys.modules])

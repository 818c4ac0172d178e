"""Prints what each of these paths holds, if it is there: a directory's names, or how many of a file's first bytes."""

import os
import sys

for path in sys.argv[1:]:
    if os.path.isdir(path):
        print(path, os.listdir(path))
    elif os.path.exists(path):
        with open(path, "rb") as file:
            print(path, len(file.read(1)))

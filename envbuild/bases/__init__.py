"""Where a stage starts: scratch, host, debian, tar. Each base is prepared as the user and written as root.

Must not know recipes, steps or the store: a base writes entries to whatever takes them (tree/target.py).
"""

"""Where a stage starts: scratch, host, debian, tar. Each base is prepared as the user and written as root.

Knows nothing of recipes, steps or the store: it writes entries to whatever takes them (target.py).
"""

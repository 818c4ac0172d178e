"""The command line: one file for each command. It parses arguments, reads the environment and prints; it has no logic
of its own.

Only this folder reads `os.environ`, writes to the standard streams or ends the process.
"""

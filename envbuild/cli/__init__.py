"""The command line: one file for each command. Parses arguments, reads the environment, prints; no logic.

Only this folder reads `os.environ`, writes to the standard streams or ends the process.
"""

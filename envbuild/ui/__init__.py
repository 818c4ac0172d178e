"""What the user sees: events turned into a live display, plain lines or JSON, and tables and errors.

Known to the command line alone. It knows the events and nothing of how a build is done; it reads no
environment, and gets the stream, whether that is a terminal, and whether to use colour from its caller.
"""

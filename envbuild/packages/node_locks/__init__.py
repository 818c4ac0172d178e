"""The locks of pnpm and yarn, read as they are: which packages they name, and where these lie below node_modules.

A lock is a text of the project, and so a stranger's: it becomes a graph of checked names, within bounds, or an error
with its line. Nothing here asks a registry or runs anything.
"""

OTHER_LOCKS = {"pnpm": "pnpm-lock.yaml", "yarn": "yarn.lock"}
"""What the locks are called, by the managers that `npm(manager=)` names."""

"""What git's merge and rebase are for environments: the three sides of a merge in git, an image's changes on another
base, and what has to hold of what comes of them. The merge itself is in merge/; nothing here prints.
"""

"""What envbuild reads of git's repositories, and what it sets up in them: locks in other revisions, who wrote a line,
drivers for diffs and merges of locks. Knows nothing of the store. All of it is done by the `git` of this machine."""

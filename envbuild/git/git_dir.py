"""The `.git` of a working tree and the branch that its HEAD names. The store reads both, too: see working_tree.py."""

from envbuild.store.working_tree import branch_of, fifo_of, git_dir_of

__all__ = ["branch_of", "fifo_of", "git_dir_of"]

"""Which packages a tree holds, read from the tree itself: nothing of it is run."""

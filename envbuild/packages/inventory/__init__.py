"""Which packages a tree holds, read from the tree itself: nothing of it is run; and which it was built with."""

# A clone of this repository, in which the first command is run.
git -C "$CHECKOUT" archive HEAD | tar -x

"""What the kernel offers and Python does not: system calls, netlink, safe walks, removal and copies of trees.

Must not know anything of envbuild.
"""

"""Signatures of images: keys, signed statements, and the policy that says which images need them.

What a signature says is an in-toto statement in a DSSE envelope. Nothing here knows how images are built or sent.
"""

"""Captures: the files of a running machine, and what else is its state, as an image in the store.

Everything here takes the root to capture as an open directory and follows no link below it: the files may be a hostile
user's, and we may be root. What a finished capture says of itself is read by images/capture_record.py."""

"""The version control of environments: what differs between two, where a name has been and back again, why a file of an
image is as it is, and what a reviewer sees of it in git. Reads the store; only `rollback` moves a tag. Never prints."""

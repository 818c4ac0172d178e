"""What is state beside files: each collector gives text, a record a line, sorted, that diffs by line. Each may find
nothing on a machine; none fails a capture."""

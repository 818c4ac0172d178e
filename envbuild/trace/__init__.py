"""What a step reads of the tree that it runs on: the record of it, and the tracer that makes the record.

Knows system calls and trees, and nothing of recipes, builds, the store or what anybody does with a record.
"""

"""Groups: several instances that a file describes, started and ended as one unit.

The file is read as docker-compose reads its own. There is no record of a group: it is the instances with its label.
"""

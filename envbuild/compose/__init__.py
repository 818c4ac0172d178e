"""Groups: instances that a compose file describes, started and stopped as a unit.

The file is read as docker-compose reads its own. There is no record of a group: it is the instances with its label.
"""

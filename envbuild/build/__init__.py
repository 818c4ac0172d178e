"""Builds: walks the plan, looks keys up, runs what is missing, several steps at once, and tells in events.

It never prints and knows no terminal; whoever calls it passes a function that takes the events.
"""

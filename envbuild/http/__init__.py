"""Requests to servers of the web, within limits of where they may send us, of size and of time: for packages, fetched
files and registries alike. Knows nothing of what is asked for."""

"""Declared packages: apt, pip and npm, each in three phases, and what a tree holds of them.

Resolve asks the stage's own package manager, in a sandbox on the stage's tree with the network, which packages a
statement means. Fetch brings the files into the store's package cache and checks each against its hash. Install
runs in a sandbox without network on what was fetched. manager.py has the one interface to all package managers.
This folder says what is to be run and reads the result; it runs nothing itself (build/ does), and must not know
builds, caches of steps or events.
"""

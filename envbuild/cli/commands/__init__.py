"""The commands, one file each, and nothing else. See `envbuild.cli.main` for what such a file defines."""

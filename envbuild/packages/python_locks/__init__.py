"""Lock files of other tools: what uv.lock, pylock.toml, poetry.lock and Pipfile.lock pin, for one Python.

They are read and never resolved again. It knows no servers: which of the user's own has a file, by its hash, is for
pip_servers.py to say.
"""

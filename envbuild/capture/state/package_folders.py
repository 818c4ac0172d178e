"""The names of directories that packages of languages are installed into: the walk notes where it saw them."""

PYTHON_FOLDERS = frozenset((b"site-packages", b"dist-packages"))
NODE_FOLDER = b"node_modules"
PACKAGE_FOLDERS = PYTHON_FOLDERS | {NODE_FOLDER}

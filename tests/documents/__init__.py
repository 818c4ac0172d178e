"""README.md and docs/ say what is so: their blocks of code are run, and the commands in their text are understood."""

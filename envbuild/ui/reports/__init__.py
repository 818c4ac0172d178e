"""Comparisons as people and programs read them: on a terminal, as JSON, as markdown and as a page of HTML."""

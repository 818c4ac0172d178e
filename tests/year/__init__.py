"""A year of a project: three people, three clones, three stores; a mirror, an index and a registry that move on."""

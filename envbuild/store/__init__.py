"""Objects, trees, stacks, images, tags with history, cache records. Knows nothing of recipes or sandboxes."""

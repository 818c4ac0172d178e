"""The merge of two environments that began as one: trees by path, databases by their records, facts by their names.

`merge_trees` and `merge_images` (merge.py) are for everybody who puts changes of one tree on another. Drivers are
functions from three contents to one, and know neither stores nor trees; caches alone are made by running what makes
them, in a sandbox. Nothing here prints, or moves a tag.
"""

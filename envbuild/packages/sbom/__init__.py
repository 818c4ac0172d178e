"""Bills of materials of images, in the forms that other tools read."""

"""One recipe gives one digest, wherever, whenever and by whom it is built."""

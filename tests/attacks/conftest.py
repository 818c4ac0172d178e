"""Attacks use images and instances as their users' tests do."""

from tests.runtime.conftest import image

__all__ = ["image"]

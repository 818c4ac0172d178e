"""A bookmark: where it leads to, and by which words it is found."""

from django.db import models


class Bookmark(models.Model):
    url = models.URLField(unique=True)
    title = models.CharField(max_length=500)
    tags = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.title

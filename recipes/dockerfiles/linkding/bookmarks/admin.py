"""Bookmarks are written down in Django's own pages."""

from django.contrib import admin

from bookmarks.models import Bookmark

admin.site.register(Bookmark, list_display=["title", "url", "tags"], search_fields=["title", "tags"])

"""The bookmarks as JSON, for all who reach the port; and the pages that change them, for those with an account."""

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import path

from bookmarks.models import Bookmark


def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "healthy", "bookmarks": Bookmark.objects.count()})


def bookmarks(request: HttpRequest) -> JsonResponse:
    found = Bookmark.objects.filter(tags__contains=request.GET.get("tag", "")).values("url", "title", "tags")
    return JsonResponse({"results": list(found)})


urlpatterns = [path("health", health), path("api/bookmarks/", bookmarks), path("admin/", admin.site.urls)]

"""What a job calls, and what people look at."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone

from hc.models import Check


def status(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{Check.objects.count()} checks\n", content_type="text/plain")


def ping(request: HttpRequest, name: str) -> HttpResponse:
    Check.objects.update_or_create(name=name, defaults={"last_ping": timezone.now()})
    return HttpResponse("OK\n", content_type="text/plain")


def checks(request: HttpRequest) -> HttpResponse:
    return JsonResponse({check.name: check.status() for check in Check.objects.order_by("name")})


urlpatterns = [path("status/", status), path("ping/<slug:name>", ping), path("checks/", checks)]

"""A job that reports is up; one that is late is down."""

from datetime import timedelta

from django.test import TestCase
from django.utils import timezone

from hc.models import Check


class Pings(TestCase):
    def test_a_ping_makes_a_check(self):
        assert self.client.get("/ping/backup").status_code == 200
        assert self.client.get("/checks/").json() == {"backup": "up"}

    def test_a_late_one_is_down(self):
        Check.objects.create(name="backup", period=timedelta(1), last_ping=timezone.now() - timedelta(2))
        assert self.client.get("/checks/").json() == {"backup": "down"}

"""A job that has to report from time to time."""

from datetime import timedelta

from django.db import models
from django.utils import timezone


class Check(models.Model):
    name = models.SlugField(unique=True)
    period = models.DurationField(default=timedelta(days=1))
    last_ping = models.DateTimeField(null=True)

    def status(self) -> str:
        if self.last_ping is None:
            return "new"
        return "up" if timezone.now() < self.last_ping + self.period else "down"

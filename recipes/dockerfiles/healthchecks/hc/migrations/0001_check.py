"""The table of checks."""

from datetime import timedelta

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Check",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(unique=True)),
                ("period", models.DurationField(default=timedelta(days=1))),
                ("last_ping", models.DateTimeField(null=True)),
            ],
        ),
    ]

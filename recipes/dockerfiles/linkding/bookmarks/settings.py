"""Settings; the data, with the key that signs sessions, are in a directory of their own."""

import os
import secrets
from pathlib import Path


def key(file: Path) -> str:
    """Return the key in the file, which is made at the first start."""
    if not file.parent.is_dir():
        return "only for commands that need no data"
    if not file.exists():
        file.write_text(secrets.token_hex())
    return file.read_text()


BASE = Path(__file__).parents[1]
DATA = Path(os.environ.get("LD_DATA", BASE / "data"))
SECRET_KEY = key(DATA / "secretkey.txt")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bookmarks.urls"
STATIC_URL = "static/"
STATIC_ROOT = BASE / "static"
INSTALLED_APPS = [
    "bookmarks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}}

#!/bin/sh
# Brings the database up to date, makes the account, then becomes the command.
set -eu
python3 manage.py migrate --no-input
if [ -n "${LD_USER:-}" ]; then
    export DJANGO_SUPERUSER_USERNAME="$LD_USER" DJANGO_SUPERUSER_PASSWORD="$LD_PASSWORD" DJANGO_SUPERUSER_EMAIL=""
    python3 manage.py createsuperuser --no-input || echo "$LD_USER is there already"
fi
export GUNICORN_CMD_ARGS="--bind=0.0.0.0:$LD_PORT"
exec "$@"

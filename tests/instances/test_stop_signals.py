"""nginx, httpd with PHP, PostgreSQL, redis and systemd as Debian has them: logs, users, ports and stop signals."""

import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.conftest import Project, wait_for
from tests.instances.instances import run, state

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.mirror,
    pytest.mark.slow,
    pytest.mark.nightly,
]

NGINX = (
    "apt nginx-light",
    "run",
    "    ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log",
    "    sed -i '/^user/d; s|^pid .*|pid /tmp/nginx.pid;|' /etc/nginx/nginx.conf",
    "    chown -R www-data /var/lib/nginx",
    "user www-data",
    "stop QUIT",
    'start ["nginx", "-g", "daemon off;"]',
)
HTTPD = (
    "apt apache2 libapache2-mod-php php",
    "run",
    "    ln -sf /dev/stdout /var/log/apache2/access.log; ln -sf /dev/stderr /var/log/apache2/error.log",
    "    ln -sf /dev/stdout /var/log/apache2/other_vhosts_access.log",
    "    echo ServerName localhost >> /etc/apache2/apache2.conf; chown -R www-data /var/log/apache2",
    "file /var/www/html/index.php",
    '    <?php file_put_contents("php://stderr", "from php\\n"); echo "answer ", 6*7;',
    "run rm /var/www/html/index.html",
    "env APACHE_RUN_USER=www-data APACHE_RUN_GROUP=www-data APACHE_PID_FILE=/tmp/apache2.pid APACHE_RUN_DIR=/tmp",
    "env APACHE_LOCK_DIR=/tmp APACHE_LOG_DIR=/var/log/apache2",
    "user www-data",
    "stop WINCH",
    'start ["apache2", "-DFOREGROUND"]',
)
POSTGRES = (
    "apt postgresql",
    "run mkdir -p /run/postgresql && chown postgres /run/postgresql",
    "user postgres",
    "stop INT",
    "start exec /usr/lib/postgresql/*/bin/postgres -D /var/lib/postgresql/*/main"
    " -c config_file=$(echo /etc/postgresql/*/main/postgresql.conf)",
)
REDIS = ("apt redis-server", "user redis", "workdir /tmp", "stop TERM", 'start ["redis-server"]')
SYSTEMD = (
    "apt systemd dbus",
    "run systemctl set-default multi-user.target",
    "stop RTMIN+3",
    'start(init=none) ["/lib/systemd/systemd"]',
)


@pytest.fixture
def services(tmp_path: Path, debian_store: Path):
    made = Project(tmp_path, debian_store)
    yield made
    made.command("rm", "--force", "one")


def start(services, lines: tuple[str, ...], *options: str) -> None:
    done = services.build("from debian:bookworm", *lines, name="service.env")
    assert done.code == 0, done.err + done.out
    run(services, "--stop-timeout", "120", *options, "service")


def logs(services) -> str:
    done = services.command("logs", "one")
    return done.out + done.err


def stopped(services) -> None:
    """It ends by its own stop signal, in its own way."""
    assert services.command("stop", "one").code == 0
    assert state(services)["code"] == 0, logs(services)


def page(services, path: str) -> bytes:
    address = f"http://127.0.0.1:{state(services)['ports'][0]['port']}/{path}"
    try:
        return urlopen(address, timeout=5).read()
    except HTTPError as error:
        error.close()
        return b""
    except OSError:
        return b""


def test_nginx_as_an_ordinary_user_on_port_80(services):
    start(services, NGINX, "-p", "127.0.0.1:0:80")
    assert wait_for(lambda: b"nginx" in page(services, ""))
    page(services, "missing")
    assert wait_for(lambda: '"GET /missing HTTP/1.1" 404' in logs(services))
    stopped(services)


def test_httpd_with_php_as_an_ordinary_user_on_port_80(services):
    start(services, HTTPD, "-p", "127.0.0.1:0:80")
    assert wait_for(lambda: page(services, "index.php") == b"answer 42")
    assert wait_for(lambda: "from php" in logs(services) and '"GET /index.php HTTP/1.1" 200' in logs(services))
    stopped(services)
    assert "caught SIGWINCH, shutting down gracefully" in logs(services)


def test_postgresql(services):
    start(services, POSTGRES)
    assert wait_for(lambda: services.command("exec", "one", "--", "psql", "-Atc", "select 6*7").out == "42\n")
    stopped(services)
    assert "received fast shutdown request" in logs(services)


def test_redis(services):
    start(services, REDIS)
    assert wait_for(lambda: services.command("exec", "one", "--", "redis-cli", "ping").out == "PONG\n")
    stopped(services)
    assert "Received SIGTERM scheduling shutdown" in logs(services)


@pytest.mark.skipif(os.geteuid() != 0, reason="without a delegated control group only root may make one")
def test_systemd(services):
    start(services, SYSTEMD)
    running = ("exec", "one", "--", "systemctl", "is-system-running")
    assert wait_for(lambda: services.command(*running).out == "running\n")
    shown = services.command("exec", "one", "--", "cat", "/proc/1/cgroup").out
    assert "0::/init.scope" in shown
    stopped(services)

"""nginx and PostgreSQL as Debian has them, under load and killed under writes."""

import re
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import Project, wait_for
from tests.instances.instances import run, state

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.mirror,
    pytest.mark.slow,
    pytest.mark.nightly,
]  # half a minute of packages
POSTGRES = "/usr/lib/postgresql/15/bin/postgres"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, debian_store: Path):
    """A project with one image that has both."""
    made = Project(tmp_path_factory.mktemp("services"), debian_store)
    done = made.build(
        "from debian:bookworm",
        "apt nginx-light postgresql",
        "file /var/www/html/index.html",
        "    a page",
        "health(every=1s) pg_isready -q",
        name="services.env",
    )
    assert done.code == 0, done.err
    yield made
    for name in ("web", "db"):
        made.command("rm", "--force", name)


@pytest.mark.skipif(shutil.which("ab") is None, reason="ab (apache2-utils) is not installed")
def test_nginx_answers_on_a_mapped_port_without_a_failed_request(services):
    run(services, "-p", "127.0.0.1:0:80", "--no-health", "services", "--", "nginx", "-g", "daemon off;", name="web")
    address = f"http://127.0.0.1:{state(services, 'web')['ports'][0]['port']}/"
    assert wait_for(lambda: _page(address) == b"a page\n")
    for words in (["-c", "50", "-n", "2000"], ["-k", "-c", "100", "-n", "6000"]):
        done = subprocess.run(["ab", "-q", *words, address], capture_output=True, text=True, check=True, timeout=120)
        assert re.search(r"Complete requests: +(\d+)", done.stdout)[1] == words[-1]
        assert re.search(r"Failed requests: +(\d+)", done.stdout)[1] == "0"
        assert "Non-2xx" not in done.stdout


def _page(address: str) -> bytes:
    try:
        return urlopen(address, timeout=5).read()
    except OSError:
        return b""


def test_postgresql_loses_nothing_when_it_is_killed_under_writes(services):
    words = ["-u", "postgres", "-v", "data:/var/lib/postgresql", "--tmpfs", "/run/postgresql", "services", "--"]
    words += [POSTGRES, "-D", "/var/lib/postgresql/15/main", "-c"]
    words += ["config_file=/etc/postgresql/15/main/postgresql.conf"]
    run(services, *words, name="db")
    assert wait_for(lambda: state(services, "db")["health"] == "healthy")

    def sql(text: str) -> str:
        return services.command("exec", "db", "--", "psql", "-qAt", "-c", text).out

    sql("create table t (number int)")
    acknowledged: list[int] = []
    process = services.start("exec", "db", "--", "sh", "-c", _WRITER)

    def read() -> None:
        for line in process.stdout:
            if line.strip().isdigit():
                acknowledged.append(int(line))

    reader = threading.Thread(target=read)
    reader.start()
    assert wait_for(lambda: len(acknowledged) > 50)
    services.command("kill", "db")
    reader.join()
    process.wait()
    process.stdout.close()
    assert services.command("wait", "db").out == "137\n"
    kept = len(acknowledged)
    # The same instance started again, and then another one with the same volume.
    assert services.command("start", "db").code == 0
    assert wait_for(lambda: state(services, "db")["health"] == "healthy")
    rows = set(map(int, sql("select number from t").split()))
    assert set(acknowledged[:kept]) <= rows
    services.command("rm", "--force", "db")
    run(services, *words, name="db")
    assert wait_for(lambda: state(services, "db")["health"] == "healthy")
    assert set(map(int, sql("select number from t").split())) == rows
    owner = (Path(services.store) / "volumes" / "data" / "data" / "15" / "main").stat()
    assert owner.st_mode & 0o777 == 0o700


# One commit each, and a number only when psql was told of it.
_WRITER = 'i=0; while i=$((i+1)); do psql -qAt -c "insert into t values ($i)" || exit; echo $i; done'

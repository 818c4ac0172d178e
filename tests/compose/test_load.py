"""Files that are right, and what they mean."""

import pytest

from envbuild.compose.file.model import Dependency, Health, Mount, Recipe, Service
from envbuild.errors import UsageError
from envbuild.instances.network.ports import Port
from envbuild.language.syntax import NOWHERE


def plain(record):
    """A record without places."""
    changed = {}
    for name in record.__match_args__:
        value = getattr(record, name)
        if name in ("span", "origin"):
            changed[name] = NOWHERE
        elif isinstance(value, tuple):
            changed[name] = tuple(plain(item) if hasattr(item, "__match_args__") else item for item in value)
    return record.replace(**changed)


def test_a_whole_file(load, tmp_path):
    group = load(
        """\
version: "3.8"
x-common: &common
  restart: unless-stopped
  environment: &variables {LANG: C, DEBUG: no}
services:
  db:
    <<: *common
    recipe: db/db.env
    set: {version: "15"}
    volumes: [data:/var/lib/db]
    healthcheck: {test: [CMD, db-ready, -q], interval: 1m30s, timeout: 500ms, retries: 5, start_period: 10s}
  web:
    <<: *common
    image: web:${TAG:-v1}
    environment: {<<: *variables, DEBUG: "1", DATABASE: "db:5432"}
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1:8080:80"]
volumes: {data: }
"""
    )
    assert (group.name, group.file) == ("shop", "services.yaml")
    db, web = map(plain, group.services)
    assert db == Service(
        "db",
        recipe=Recipe("db/db.env", (("version", "15"),)),
        environment=(("LANG", "C"), ("DEBUG", "no")),
        mounts=(Mount("volume", "shop_data", "/var/lib/db"),),
        health=Health(("db-ready", "-q"), 90.0, 0.5, 5, 10.0),
        restart="always",
        network="shop",
        aliases=("db",),
    )
    assert web == Service(
        "web",
        image="web:v1",
        environment=(("LANG", "C"), ("DEBUG", "1"), ("DATABASE", "db:5432")),
        ports=(Port("127.0.0.1", 8080, 80, "tcp"),),
        depends=(Dependency("db", "service_healthy"),),
        restart="always",
        network="shop",
        aliases=("web",),
    )
    assert [(volume.name, volume.external) for volume in group.volumes] == [("shop_data", False)]
    assert [network.name for network in group.networks] == ["shop"]
    assert [(note.severity, note.message) for note in group.notes] == [("note", "'version' has no meaning any more")]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("command: sh -c 'echo \"$$A\" b'", "command", ("sh", "-c", 'echo "$A" b')),
        ("command: [sleep, 1]", "command", ("sleep", "1")),
        ("entrypoint: /bin/start now", "entrypoint", ("/bin/start", "now")),
        ("environment: [A=1, B=, HOME, NOT_SET]", "environment", (("A", "1"), ("B", ""), ("HOME", "/home/ada"))),
        ("environment: {A: 1.10, B: , HOME: , C: ~, D: yes, E: 08:15}", "environment",
         (("A", "1.10"), ("HOME", "/home/ada"), ("D", "yes"), ("E", "08:15"))),
        ("restart: no", "restart", "never"),
        ("restart: on-failure:3", "restarts", 3),
        ("user: 1000:50", "user", "1000:50"),
        ("working_dir: /srv/", "workdir", "/srv"),
        ("stop_signal: SIGINT", "stop", "INT"),
        ("stop_grace_period: 1m30s", "stop_timeout", 90.0),
        ("mem_limit: 1.5g", "memory", 1536 << 20),
        ("mem_limit: 512MB", "memory", 512 << 20),
        ("cpus: 0.5", "cpus", 0.5),
        ("pids_limit: 100", "pids", 100),
        ("deploy: {resources: {limits: {cpus: '2', memory: 64k, pids: 9}}, replicas: 1}", "memory", 65536),
        ("read_only: on", "read_only", True),
        ("hostname: front", "hostname", "front"),
        ("labels: {a.b: c, d: }", "labels", (("a.b", "c"), ("d", ""))),
        ("labels: [a=b=c]", "labels", (("a", "b=c"),)),
        ("network_mode: none", "network", "none"),
        ("network_mode: bridge", "network", "private"),
        ("network_mode: host", "aliases", ()),
        ("container_name: front", "aliases", ("web", "front")),
        ("networks: {default: {aliases: [www, web]}}", "aliases", ("web", "www")),
        ("healthcheck: {test: curl -f localhost}", "health", Health(("/bin/sh", "-c", "curl -f localhost"))),
        ("healthcheck: {test: [CMD-SHELL, a || b]}", "health", Health(("/bin/sh", "-c", "a || b"))),
        ("healthcheck: {test: [NONE]}", "health", Health(off=True)),
        ("healthcheck: {disable: true}", "health", Health(off=True)),
        ("healthcheck: {interval: 5s}", "health", Health(every=5.0)),
        ("profiles: [debug]", "profiles", ("debug",)),
        ("scale: 0", "scale", 0),
        ("init: true", "scale", 1),
        ("expose: [80, 53/udp, 90-99]", "ports", ()),
        ("command: ", "command", None),
        ("x-note: {any: thing}", "command", None),
    ],
)  # fmt: skip
def test_one_key(service, line, field, value):
    assert getattr(service(line), field) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("0.0.0.0", 0, 80, "tcp")]),
        ("22:22", [("0.0.0.0", 22, 22, "tcp")]),
        ("8080:80/udp", [("0.0.0.0", 8080, 80, "udp")]),
        ("3000-3001", [("0.0.0.0", 0, 3000, "tcp"), ("0.0.0.0", 0, 3001, "tcp")]),
        ("90-91:80-81", [("0.0.0.0", 90, 80, "tcp"), ("0.0.0.0", 91, 81, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 80, "tcp")]),
        ('"[::1]:8080:80"', [("::1", 8080, 80, "tcp")]),
        ('{target: 80, published: "8080", host_ip: 127.0.0.1, protocol: udp}', [("127.0.0.1", 8080, 80, "udp")]),
        ("{target: 80, mode: host, name: web, app_protocol: http}", [("0.0.0.0", 0, 80, "tcp")]),
    ],
)
def test_ports(service, text, expected):
    ports = service("ports:", f"  - {text}").ports
    assert [(port.host, port.number, port.inside, port.protocol) for port in ports] == expected


def test_volumes(service, tmp_path):
    web = service(
        "volumes:",
        "  - ./a:/a",
        "  - ~/b:/b/:ro,z",
        "  - /c:/c:rw",
        "  - data:/d",
        "  - /e/f",
        "  - {type: bind, source: ../g, target: /g, read_only: true, bind: {create_host_path: false}}",
        "  - {type: volume, source: theirs, target: /h, volume: {nocopy: true}}",
        "  - {type: tmpfs, target: /i, tmpfs: {size: 64m}}",
        "tmpfs: [/j, '/k:size=1k']",
        before="volumes: {data: {name: kept}, theirs: {external: true}}\n",
    )
    assert [plain(mount) for mount in web.mounts] == [
        Mount("bind", f"{tmp_path}/shop/a", "/a", create=True),
        Mount("bind", "/home/ada/b", "/b", True, create=True),
        Mount("bind", "/c", "/c", create=True),
        Mount("volume", "kept", "/d"),
        Mount("volume", "shop_web_e_f", "/e/f"),
        Mount("bind", f"{tmp_path}/g", "/g", True),
        Mount("volume", "theirs", "/h"),
        Mount("tmpfs", "", "/i", size=64 << 20),
        Mount("tmpfs", "", "/j"),
        Mount("tmpfs", "", "/k", size=1024),
    ]
    assert web.anonymous == ("shop_web_e_f",)


def test_secrets_and_configs_are_files_that_show(service, tmp_path):
    web = service(
        "secrets: [token, {source: token, target: other}]",
        "configs: [{source: site, target: /etc/site.conf}]",
        before="secrets: {token: {file: ./token}}\nconfigs: {site: {file: site.conf}}\n",
        token="t",
        site__conf="s",
    )
    assert [(mount.source, mount.target, mount.read_only) for mount in web.mounts] == [
        (f"{tmp_path}/shop/token", "/run/secrets/token", True),
        (f"{tmp_path}/shop/token", "/run/secrets/other", True),
        (f"{tmp_path}/shop/site.conf", "/etc/site.conf", True),
    ]


def test_files_of_variables_give_way_to_environment(service):
    web = service(
        "env_file: [one.variables, {path: none.variables, required: false}, two.variables]",
        "environment: {C: file, HOME: }",
        one__variables="A=1\nB=1\n",
        two__variables="B=2\nC=2\nHOME=/other\n",
    )
    assert web.environment == (("A", "1"), ("B", "2"), ("C", "file"), ("HOME", "/home/ada"))


def test_variables_of_the_user_go_before_those_of_the_file_beside(load):
    text = "services: {web: {image: 'web:${TAG}', user: '${WHO}'}}\n"
    web = load(text, user={"WHO": "ada"}, __env="TAG=v2\nWHO=bob\n").service("web")
    assert (web.image, web.user) == ("web:v2", "ada")


def test_a_variable_that_is_not_set_is_a_warning_at_its_place(load):
    (note,) = load("services:\n  web:\n    image: web$TAG\n").notes
    assert (note.severity, note.message, note.line, note.column, note.length) == (
        "warning",
        "the variable TAG is not set",
        3,
        15,
        4,
    )


def test_networks_by_their_names(load):
    group = load(
        "services:\n"
        "  a: {image: x}\n"
        "  b: {image: x, networks: [back]}\n"
        "  c: {image: x, networks: {theirs: {aliases: [sea]}}}\n"
        "  d: {image: x, networks: [named]}\n"
        "networks: {back: {driver: bridge, internal: true}, theirs: {external: true}, named: {name: n}, unused: }\n"
    )
    assert [(service.network, service.aliases) for service in group.services] == [
        ("shop", ("a",)),
        ("shop_back", ("b",)),
        ("theirs", ("c", "sea")),
        ("n", ("d",)),
    ]
    assert [(network.name, network.external) for network in group.networks] == [
        ("shop_back", False),
        ("theirs", True),
        ("n", False),
        ("shop", False),
    ]


def test_a_network_is_never_called_as_another_kind_of_network(load):
    assert load("name: host\nservices: {a: {image: x}}\n").service("a").network == "host_default"
    with pytest.raises(UsageError, match="a network can't be called none"):
        load("services: {a: {image: x, networks: [n]}}\nnetworks: {n: {name: none}}\n")


def test_ports_with_the_network_of_the_host_mean_nothing(load):
    group = load("services:\n  a: {image: x, network_mode: host, ports: [80]}\n")
    assert group.service("a").ports == ()
    assert [(note.severity, note.column) for note in group.notes] == [("warning", 37)]


def test_the_name_of_a_group(load):
    text = "services: {web: {image: web}}\n"
    assert load(text).name == "shop"
    assert load("name: mart\n" + text).name == "mart"
    assert load("name: ${N:-fair}\n" + text).name == "fair"
    assert load("name: mart\n" + text, name="bazaar").name == "bazaar"
    with pytest.raises(UsageError, match="can't name a group"):
        load(text, name="No Name")


def test_windows_ends_of_lines_and_a_byte_order_mark(load):
    assert load("\ufeffservices:\r\n  web:\r\n    image: web\r\n").service("web").image == "web"

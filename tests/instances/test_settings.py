"""What an instance was started with is kept as text, for this version of envbuild and others."""

import json

from envbuild.instances.config import Health, Limits, Mount, Restart, Settings, dump, from_plain
from envbuild.instances.network.ports import Port

ALL = Settings(
    ("sleep", "9"),
    environment=(("A", "1"), ("A", "2")),
    user="app",
    workdir="/srv",
    home="/home/app",
    hostname="host",
    mounts=(Mount("bind", "/a", "/b", True), Mount("tmpfs", "", "/t", size=5)),
    read_only=True,
    network="back",
    aliases=("db",),
    ports=(Port("127.0.0.1", 80, 8080, "tcp"),),
    restart=Restart("on-failure", 3),
    stop="INT",
    stop_timeout=1.5,
    health=Health(("true",), 1.0, 2.0, 3, 4.0, 5.0),
    limits=Limits(1 << 20, 0.5, 10),
    labels=(("group", "shop"),),
    fixed=("/usr",),
)


def test_settings_come_back_as_they_were():
    assert from_plain(json.loads(dump(ALL))) == ALL
    assert from_plain(json.loads(dump(Settings(("true",))))) == Settings(("true",))


def test_what_another_version_did_not_know_has_its_default_and_what_it_alone_knew_is_left_out():
    plain = json.loads(dump(ALL))
    del plain["fixed"], plain["health"]
    plain["later"] = [1]
    assert from_plain(plain) == ALL.replace(fixed=(), health=None)

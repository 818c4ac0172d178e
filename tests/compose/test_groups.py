"""Groups of real instances, as a user has them."""

import json
import os
import signal
import socket

import pytest

from envbuild.instances.records import Instances
from tests.conftest import wait_for
from tests.instances.instances import ended, printed, state
from tests.netcat import answer_all

pytestmark = pytest.mark.namespaces
TRAP = "trap 'echo bye; exit 0' TERM"
RUNS = f"{TRAP}; while :; do sleep 0.05; done"


def base(project) -> None:
    """Makes an image `base`."""
    lines = ("env GREETING=hello", f'start ["sh", "-c", "{TRAP}; echo up; {RUNS}"]')
    assert project.build(*lines, name="base.env").code == 0


@pytest.fixture
def shop(project, made_once, tmp_path):
    """A project with it; what runs in the end is ended."""
    with made_once.again(project, base, tmp_path / "made"), ended(project):
        yield project


def write(project, *services: str, more: str = "") -> None:
    project.write("services.yaml", "name: shop", "services:", *(f"  {service}" for service in services), more)


def listed(project) -> dict[str, dict]:
    """All instances by their names, the newest first."""
    instances = Instances.of(str(project.store))
    return {instance.name: state(project, instance.name) for instance in instances.all()}


def standing(project) -> dict[str, str]:
    return {name: instance["state"] for name, instance in listed(project).items()}


def of_members(done) -> list[tuple[str, str]]:
    """(service, what became of it) of each line."""
    text = done if isinstance(done, str) else done.err
    return [tuple(line.split()[:2]) for line in text.splitlines() if line[:1].isalpha()]


def shell(text: str) -> str:
    return json.dumps(["sh", "-c", text])


READY = shell(f"echo starting; sleep 0.3; touch /ready; {RUNS}")
CHECK = "healthcheck: {test: [CMD, test, -e, /ready], interval: 100ms}"
SHOP = (
    "db: {image: base, command: " + READY + ", " + CHECK + "}",
    "web: {image: base, depends_on: {db: {condition: service_healthy}}}",
    "side: {image: base}",
)


def test_a_service_waits_until_what_it_needs_is_healthy_and_down_ends_all_in_the_reverse_order(shop):
    (shop.folder / "gate").mkdir()
    opened = shell(f"until [ -e /gate/open ]; do sleep 0.05; done; touch /ready; {RUNS}")
    write(shop, "db: {image: base, volumes: ['./gate:/gate'], command: " + opened + ", " + CHECK + "}", *SHOP[1:])
    up = shop.start("up")
    text = ""
    for line in up.stdout:
        text += line.decode()
        if ("side", "started") in of_members(text):
            (shop.folder / "gate" / "open").touch()
    assert up.wait() == 0, text
    lines = of_members(text)
    assert lines.index(("side", "started")) < lines.index(("db", "healthy")) < lines.index(("web", "starting"))
    assert standing(shop) == {"shop-db": "running", "shop-web": "running", "shop-side": "running"}
    down = shop.command("down")
    assert down.code == 0, down.err
    lines = of_members(down)
    assert lines.index(("web", "stopped")) < lines.index(("db", "stopping"))
    assert standing(shop) == {}
    again = shop.command("down")
    assert (again.code, again.out, again.err) == (0, "", "")


def test_up_again_leaves_alone_what_is_as_the_file_says_and_makes_anew_what_changed(shop):
    write(shop, *SHOP)
    assert shop.command("up").code == 0
    first = listed(shop)
    again = shop.command("up")
    assert sorted(of_members(again)) == [
        ("db", "healthy"),
        ("db", "unchanged"),
        ("side", "unchanged"),
        ("web", "unchanged"),
    ]
    assert listed(shop).keys() == first.keys()
    assert {instance["id"] for instance in listed(shop).values()} == {instance["id"] for instance in first.values()}
    write(shop, *SHOP[:2], "side: {image: base, environment: {NEW: 1}}")
    changed = shop.command("up")
    assert ("side", "recreating") in of_members(changed)
    second = listed(shop)
    assert [name for name in first if first[name]["id"] != second[name]["id"]] == ["shop-side"]
    assert shop.command("exec", "shop-side", "--", "sh", "-c", "echo $NEW $GREETING").out == "1 hello\n"
    assert shop.command("up", "--force-recreate", "side").code == 0
    assert listed(shop)["shop-side"]["id"] != second["shop-side"]["id"]


def test_what_is_over_is_started_again_with_its_files(shop):
    write(shop, "web: {image: base}")
    assert shop.command("up").code == 0
    shop.command("exec", "shop-web", "--", "touch", "/mine")
    shop.command("stop", "shop-web")
    up = shop.command("up")
    assert of_members(up) == [("web", "starting"), ("web", "started")]
    assert shop.command("exec", "shop-web", "--", "ls", "/mine").code == 0


def test_one_that_fails_ends_those_that_were_started_with_it(shop):
    write(shop, "old: {image: base}")
    assert shop.command("up").code == 0
    write(
        shop,
        "old: {image: base}",
        "db: {image: base}",
        "job: {image: base, command: " + shell("echo no table >&2; exit 3") + ", depends_on: [db]}",
        "web: {image: base, depends_on: {job: {condition: service_completed_successfully}}}",
    )
    up = shop.command("up")
    assert up.code == 1
    assert (
        "error: service job: it ended with exit code 3, and web waits for it to be completed\n  | no table\n" in up.err
    )
    assert "hint: its whole log: envbuild logs shop-job" in up.err
    assert standing(shop) == {"shop-old": "running", "shop-db": "exited", "shop-job": "exited"}
    assert shop.command("logs", "shop-job").err == "no table\n"


def test_one_that_gets_unhealthy_where_another_waits_for_it(shop):
    check = "healthcheck: {test: 'echo looking; echo not yet; false', interval: 400ms, retries: 2}"
    write(
        shop,
        "db: {image: base, " + check + "}",
        "web: {image: base, depends_on: {db: {condition: service_healthy}}}",
    )
    up = shop.command("up")
    assert up.code == 1
    assert "service db: it is unhealthy, and web waits for it to be healthy (not yet)\n  | up\n" in up.err
    assert "db   not healthy yet  not yet\n" in up.err
    assert standing(shop) == {"shop-db": "exited"}
    shop.command("down")
    write(shop, "db: {image: base, " + check + "}")
    alone = shop.command("up")
    assert (alone.code, "service db: it is unhealthy (not yet)" in alone.err) == (1, True)
    assert standing(shop) == {"shop-db": "running"}
    shop.command("down")
    write(shop, "db: {image: base, healthcheck: {test: [CMD, pg_isready], interval: 1h, retries: 100}}")
    missing = shop.command("up")
    assert (missing.code, "(there is no program 'pg_isready' in the tree)" in missing.err) == (1, True)


def test_one_that_need_not_succeed(shop):
    write(
        shop,
        "job: {image: base, command: 'false'}",
        "web: {image: base, depends_on: {job: {condition: service_completed_successfully, required: false}}}",
    )
    up = shop.command("up")
    assert "web starts without it" in up.err
    assert standing(shop)["shop-web"] == "running"


def test_a_job_that_completes(shop):
    volumes = "volumes: [data:/data]"
    write(
        shop,
        "job: {image: base, command: " + shell("sleep 0.2; echo made > /data/table") + ", " + volumes + "}",
        "web: {image: base, command: " + shell(f"cat /data/table; {RUNS}") + ", " + volumes + ", "
        "depends_on: {job: {condition: service_completed_successfully}}}",
        more="volumes: {data: }",
    )  # fmt: skip
    assert shop.command("up").code == 0
    assert wait_for(lambda: printed(shop, "shop-web") == "made\n")


def test_a_program_that_is_not_there(shop):
    write(shop, "db: {image: base}", "web: {image: base, command: [serve], depends_on: [db]}")
    up = shop.command("up")
    assert up.code == 1, up.err
    assert "service web: " in up.err
    assert "serve" in up.err
    assert standing(shop)["shop-db"] == "exited"


def test_volumes_outlive_the_group_unless_they_are_to_go(shop):
    write(
        shop,
        "web: {image: base, volumes: [data:/data, kept:/kept, /own], command: "
        + shell(f"for d in data kept own; do echo x >> /$$d/x; done; cat /data/x /own/x; {RUNS}")
        + "}",
        more="volumes: {data: , kept: {name: shared}}",
    )
    assert shop.command("up").code == 0
    assert wait_for(lambda: printed(shop, "shop-web") == "x\nx\n")
    shop.command("down")
    assert sorted(os.listdir(shop.store / "volumes")) == ["shared", "shop_data"]
    shop.command("up")
    assert wait_for(lambda: printed(shop, "shop-web") == "x\nx\nx\n")
    down = shop.command("down", "--volumes")
    assert ("shop_data", "removed") in of_members(down)
    assert os.listdir(shop.store / "volumes") == []


def test_volumes_of_an_image_stay_with_their_service_and_go_with_the_group(shop):
    start = json.dumps(["sh", "-c", f"echo x >> /data/x; cat /data/x; {RUNS}"])
    assert shop.build("run mkdir /data", "volume /data", f"start {start}", name="db.env").code == 0
    write(shop, "db: {image: db}")
    assert shop.command("up").code == 0
    assert wait_for(lambda: printed(shop, "shop-db") == "x\n")
    write(shop, "db: {image: db, environment: {A: b}}")
    assert shop.command("up").code == 0
    assert wait_for(lambda: printed(shop, "shop-db") == "x\nx\n")
    assert [name[: -len("-01234567")] for name in os.listdir(shop.store / "volumes")] == ["shop_db_data"]
    assert shop.command("down").code == 0
    assert os.listdir(shop.store / "volumes") == []


def test_an_external_volume_has_to_be_there_and_stays(shop):
    more = "volumes: {data: {external: true, name: theirs}}"
    write(shop, "web: {image: base, volumes: [data:/data]}", more=more)
    up = shop.command("up")
    assert (up.code, "there is not a valid volume 'theirs'" in up.err) == (2, True)
    assert standing(shop) == {}
    write(shop, "web: {image: base, volumes: [data:/data]}", more="volumes: {data: {name: theirs}}")
    assert shop.command("up").code == 0
    write(shop, "web: {image: base, volumes: [data:/data]}", more=more)
    assert of_members(shop.command("up")) == [("web", "unchanged")]
    assert shop.command("down", "--volumes").code == 0
    assert os.listdir(shop.store / "volumes") == ["theirs"]


def test_ports_are_tried_before_anything_starts(shop):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        write(shop, "db: {image: base}", f"web: {{image: base, depends_on: [db], ports: ['127.0.0.1:{taken}:80']}}")
        up = shop.command("up")
    assert (up.code, f"127.0.0.1:{taken}/tcp can't be opened" in up.err) == (1, True)
    assert standing(shop) == {}
    assert shop.command("up").code == 0
    # One that is made anew has its own port before.
    assert shop.command("up", "--force-recreate").code == 0
    assert listed(shop)["shop-web"]["ports"][0]["port"] == taken


def test_recipes_are_built_when_they_have_to_be(shop):
    shop.write("app.env", 'param colour = "red"', "from image:base", "env COLOUR=${colour}")
    write(shop, "web: {recipe: app.env, set: {colour: blue}}", "other: {recipe: app.env}")
    refused = shop.command("up", "--no-build")
    assert (refused.code, "app.env has changed since it was built" in refused.err) == (1, True)
    up = shop.command("up")
    assert up.code == 0, up.err
    assert shop.command("exec", "shop-web", "--", "sh", "-c", "echo $COLOUR").out == "blue\n"
    assert shop.command("exec", "shop-other", "--", "sh", "-c", "echo $COLOUR").out == "red\n"
    assert (shop.folder / "app.env.lock").exists()
    assert of_members(shop.command("up")) == [("web", "unchanged"), ("other", "unchanged")]
    shop.write("app.env", 'param colour = "red"', "from image:base", "env COLOUR=${colour} MORE=1")
    changed = shop.command("up", "web")
    assert ("web", "building") in of_members(changed)
    assert ("web", "recreating") in of_members(changed)
    shop.write("app.env", "from image:base", "run exit 3")
    before = standing(shop)
    broken = shop.command("up")
    assert broken.code == 2, broken.err  # the parameter is gone, too
    assert standing(shop) == before


def test_images_are_looked_up_before_anything_starts_or_is_built(shop):
    write(shop, "db: {recipe: none.env}", "web:", "  image: bsae")
    up = shop.command("up")
    assert up.code == 2
    assert "services.yaml:3:16" in up.err
    assert "there is no recipe none.env" in up.err
    assert "there is no image 'bsae'" in up.err
    assert "did you mean 'base'?" in up.err


def test_what_the_keys_come_to(shop):
    shop.write("page/index.html", "hello")
    write(
        shop,
        "web:",
        "  image: base",
        "  container_name: front",
        "  hostname: www",
        "  entrypoint: [sh, -c]",
        f'  command: ["echo $$(hostname) $$(id -u) $$(pwd) $$A; cat /page/index.html; touch /x || echo fixed; {RUNS}"]',
        "  environment: {A: '1 2'}",
        "  user: '50'",
        "  working_dir: /etc",
        "  volumes: [./page:/page:ro]",
        "  tmpfs: /scratch",
        "  read_only: true",
        "  stop_signal: TERM",
        "  network_mode: none",
    )
    up = shop.command("up")
    assert up.code == 0, up.err
    logged = lambda: printed(shop, "front")  # noqa: E731
    assert wait_for(lambda: "fixed" in logged()), logged()
    assert logged() == "www 50 /etc 1 2\nhello\nfixed\n"
    assert shop.command("exec", "-u", "root", "front", "--", "touch", "/scratch/x").code == 0


def test_an_image_s_entry_begins_its_service_s_command(shop):
    shop.write("hi.env", 'from image:base\nentry ["sh", "-c"]\nstart ["echo started; sleep 1000"]\n')
    assert shop.command("build", "hi.env").code == 0
    write(
        shop,
        "a: {image: hi}",
        "b: {image: hi, command: ['echo given; sleep 1000']}",
        "c: {image: hi, entrypoint: [echo, own]}",
        "d: {image: hi, entrypoint: [], command: [echo, bare]}",
    )
    shop.command("up")
    shown = lambda: [printed(shop, f"shop-{name}") for name in "abcd"]  # noqa: E731
    assert wait_for(lambda: shown() == ["started\n", "given\n", "own\n", "bare\n"]), shown()


def test_a_folder_to_bind_is_made(shop):
    write(shop, "web: {image: base, volumes: [./new:/new]}")
    up = shop.command("up")
    assert (up.code, "was created, as web binds it" in up.err) == (0, True)
    assert (shop.folder / "new").is_dir()
    write(
        shop, "web: {image: base, volumes: [{type: bind, source: ./no, target: /n, bind: {create_host_path: false}}]}"
    )
    assert "services.yaml:3:32" in shop.command("up").err
    assert not (shop.folder / "no").exists()


def test_a_group_whose_file_is_gone_goes_by_its_name(shop):
    write(shop, *SHOP[1:], "db: {image: base, " + CHECK + ", command: " + READY + "}")
    assert shop.command("up").code == 0
    os.unlink(shop.folder / "services.yaml")
    assert "there is no services.yaml" in shop.command("down").err
    unknown = shop.command("down", "shp")
    assert (unknown.code, "did you mean 'shop'?" in unknown.err) == (0, True)
    down = shop.command("down", "shop")
    assert of_members(down).index(("web", "stopped")) < of_members(down).index(("db", "stopping"))
    assert standing(shop) == {}


def test_services_that_the_file_no_longer_has(shop):
    write(shop, "web: {image: base}", "side: {image: base}")
    assert shop.command("up").code == 0
    write(shop, "web: {image: base}")
    up = shop.command("up")
    assert (up.code, "the file no longer has: shop-side" in up.err) == (0, True)
    assert shop.command("up", "--remove-orphans").code == 0
    assert standing(shop) == {"shop-web": "running"}


def test_a_restart_of_what_it_needs_is_one_of_its_own(shop):
    write(
        shop, "db: {image: base}", "web: {image: base, depends_on: {db: {condition: service_started, restart: true}}}"
    )
    assert shop.command("up").code == 0
    first = listed(shop)
    write(
        shop,
        "db: {image: base, environment: {A: 1}}",
        "web: {image: base, depends_on: {db: {condition: service_started, restart: true}}}",
    )
    assert shop.command("up").code == 0
    second = listed(shop)
    assert all(first[name]["id"] != second[name]["id"] for name in first)


def test_names_that_somebody_else_has(shop):
    assert shop.command("run", "-d", "--name", "shop-web", "base").code == 0
    write(shop, "db: {image: base}", "web: {image: base}", "other: {image: base, container_name: shop-db}")
    up = shop.command("up")
    assert up.code == 2
    assert "shop-web is the name of an instance that is not of this group" in up.err
    assert "shop-db is the name of the service db" in up.err
    assert standing(shop) == {"shop-web": "running"}


def test_a_clone_of_a_service_is_no_part_of_the_group(shop):
    write(shop, "web: {image: base}")
    assert shop.command("up").code == 0
    assert shop.command("clone", "shop-web").code == 0
    assert of_members(shop.command("up")) == [("web", "unchanged")]
    assert shop.command("down").code == 0
    assert standing(shop) == {"shop-web-2": "running"}


def test_two_groups_from_one_file(shop):
    write(shop, "web: {image: base}")
    assert shop.command("up", "--name", "one").code == 0
    assert shop.command("up", "-p", "two").code == 0
    assert [instance["group"] for instance in listed(shop).values()] == ["two", "one"]
    assert len(shop.command("ps", "--group", "one").out.splitlines()) == 2
    assert shop.command("down", "-p", "one").code == 0
    assert standing(shop) == {"two-web": "running"}


def test_follow_shows_what_they_print_until_they_are_over(shop):
    write(shop, "a: {image: base, command: echo one}", "other: {image: base, command: " + shell("echo two >&2") + "}")
    done = shop.command("up", "--follow")
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["a     | one", "other | two"]


def test_follow_ends_the_group_at_ctrl_c(shop):
    write(shop, "web: {image: base}")
    process = shop.start("up", "--follow")
    lines = iter(process.stdout.readline, b"")
    assert any(b"web | up" in line for line in lines)
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 130
    process.stdout.close()
    assert b"web | bye" in rest
    assert standing(shop) == {"shop-web": "exited"}


def test_an_interrupted_up_ends_what_it_started(shop):
    check = "healthcheck: {test: 'false', interval: 1h, start_period: 1h}"
    write(
        shop, "db: {image: base, " + check + "}", "web: {image: base, depends_on: {db: {condition: service_healthy}}}"
    )
    process = shop.start("up")
    lines = iter(process.stdout.readline, b"")
    assert any(b"waiting for it to be healthy" in line for line in lines)
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait() == 130
    process.stdout.close()
    assert standing(shop) == {"shop-db": "exited"}


def test_which_file_was_taken_is_told_where_there_are_several(shop):
    write(shop, "web: {image: base}")
    shop.write("compose.yml", "services: {other: {image: base}}")
    (shop.folder / "deep").mkdir()
    assert "note: the file is services.yaml, not compose.yml" in shop.command("up").err
    assert "note: the file is compose.yml" not in shop.command("up", "compose.yml", "-p", "x").err
    assert sorted(standing(shop)) == ["shop-web", "x-other"]


SERVES = shell(answer_all("$$0 says hello", 80))


def test_services_reach_each_other_by_name(shop):
    write(
        shop,
        "db: {image: base, container_name: store, command: " + SERVES + ", networks: {default: {aliases: [data]}}}",
        "web: {image: base}",
        "alone: {image: base, networks: [other]}",
        more="networks: {other: }",
    )
    up = shop.command("up")
    assert up.code == 0, up.err
    ask = ("sh", "-c", 'nc "$0" 80 < /dev/null')
    for name in ("db", "store", "data"):
        assert wait_for(lambda name=name: shop.command("exec", "shop-web", "--", *ask, name).out == "sh says hello\n")
    assert shop.command("exec", "shop-alone", "--", *ask, "db").out == ""
    # A second group of the file has a network of its own.
    write(shop, "db: {image: base}", "web: {image: base}")
    assert shop.command("up", "-p", "second").code == 0
    assert shop.command("exec", "second-web", "--", *ask, "store").out == ""
    assert shop.command("down", "-p", "second").code == 0
    assert shop.command("exec", "shop-web", "--", *ask, "db").out == "sh says hello\n"


def test_a_port_of_the_host_leads_to_a_service_in_its_network(shop):
    write(shop, "web: {image: base, command: " + SERVES + ", ports: ['127.0.0.1::80']}")
    assert shop.command("up").code == 0

    def said() -> bytes:
        port = listed(shop)["shop-web"]["ports"][0]["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            return link.recv(100)

    assert wait_for(lambda: said() == b"sh says hello\n")

"""`envbuild drift`: what was changed by hand in the instances of an image."""

import pytest

pytestmark = pytest.mark.namespaces


def test_an_image_without_drift(hands):
    hands.start()
    code, (report,) = hands.drift("web")
    assert (code, report["drifted"], report["instance"], report["state"]) == (0, False, "one", "running")
    assert "one (running): as its image web:latest" in hands.project.command("drift", "web").out


def test_running_leaves_noise_which_is_counted(hands):
    # One that goes with its command has no volume on /data: what it writes there is its own.
    hands.start("web", "one", "--rm")
    hands.change(
        "echo 1 > /var/log/x.log; mkdir -p /var/cache/x /run/x /root/__pycache__; touch /var/cache/x/y /run/x/a.pid;"
        "echo ls > /root/.ash_history; echo row > /data/rows; touch /root/__pycache__/a.pyc; touch /var/tmp/1"
    )
    code, (report,) = hands.drift("web")
    assert (code, report["drifted"]) == (0, False)
    counted = {rule["rule"]: rule["paths"] for rule in report["noise"]}
    assert counted["data"] == 1
    assert {"logs", "caches", "temporary", "compiled Python", "histories"} < counted.keys()
    text = hands.project.command("drift", "web").out
    assert "left out as noise" in text
    assert "rows" not in text
    shown = hands.project.command("drift", "web", "--all", "--files")
    assert (shown.code, "/data/rows" in shown.out) == (1, True)


def test_what_is_in_a_volume_is_in_no_comparison_and_no_commit_and_that_is_told(hands):
    hands.start()
    hands.change("echo row > /data/rows; chmod 700 /data; echo 1 > /other")
    code, (report,) = hands.drift("web")
    assert (code, [row["path"] for row in report["diff"]["unexplained"]], report["noise"]) == (1, ["/other"], [])
    ((path, volume),) = [tuple(row.values()) for row in report["volumes"]]
    assert path == "/data"
    line = f"left out: /data, which is the volume {volume}"
    assert line in hands.project.command("drift", "web").out
    assert f"note: one: {line}" in hands.project.command("diff", "one").err
    done = hands.project.command("commit", "one", "web:kept")
    assert (done.code, line in done.out) == (0, True), done.err
    assert hands.project.ls("/data", "web:kept") == {}


def test_each_instance_of_the_name_and_no_other(hands):
    assert hands.project.build("run echo 1 > /other", name="other.env").code == 0
    hands.start("web", "one")
    hands.start("web", "two")
    hands.start("other", "three")
    hands.change("echo 1 > /by-hand", "two")
    code, reports = hands.drift("web")
    assert code == 1
    assert {report["instance"]: report["drifted"] for report in reports} == {"one": False, "two": True}
    assert [path["path"] for path in reports[0]["diff"]["unexplained"]] == ["/by-hand"]
    assert {report["instance"] for report in hands.drift()[1]} == {"one", "two", "three"}
    assert hands.drift("other")[0] == 0
    assert "there is no image 'weg'" in hands.refused("drift", "weg").err
    assert "A /by-hand" in hands.project.command("drift", "web", "--files").out


def test_an_instance_of_an_earlier_image_is_told_of(hands):
    hands.start()
    assert hands.project.build("run echo newer > /file").code == 0
    hands.start("web", "two")
    reports = {report["instance"]: report for report in hands.drift("web")[1]}
    assert (reports["one"]["moved_on"], reports["two"]["moved_on"]) == ("web:latest", "")
    assert not reports["one"]["drifted"]
    assert "web:latest names another image by now" in hands.project.command("drift", "web").out
    assert [report["instance"] for report in hands.drift("web@{1}")[1]] == ["one"]


def test_an_image_without_instances(hands):
    done = hands.project.command("drift", "web")
    assert (done.code, done.out) == (0, "there are no instances of web\n")


def test_a_link_that_leads_elsewhere_and_a_privileged_file_are_named_among_many_others(hands):
    hands.start()
    hands.change(
        "mkdir /srv/many; cd /srv/many; seq 100 | xargs touch; ln -sf busybox /bin/sh2; ln -sfn b /srv/app/link;"
        "mkdir -p /tmp/x /var/cache/x; cp /file /var/cache/x/shell; chmod 4755 /var/cache/x/shell"
    )
    rows = [row.split() for row in hands.project.command("drift", "web").out.splitlines()]
    assert ["M", "/srv/app/link", "target", "a", "->", "b"] in rows
    assert ["A", "/bin/sh2", "link,", "->", "busybox"] in rows
    # Caches are noise, a program that runs as root is none.
    assert ["A", "/var/cache/x/shell", "set-user-id;", "2", "B,", "mode", "4755"] in rows
    assert any(row[:3] == ["/srv", "100", "added"] for row in rows)


def test_an_instance_by_its_name_and_by_its_id(hands):
    hands.start("web", "one")
    hands.start("web", "two")
    hands.change("echo 1 > /by-hand", "two")
    identity = next(report["id"] for report in hands.drift("web")[1] if report["instance"] == "two")
    for name in ("two", identity, identity[:4]):
        code, reports = hands.drift(name)
        assert (code, [report["instance"] for report in reports]) == (1, ["two"])
        assert "A /by-hand" in hands.project.command("drift", name).out
    assert hands.drift("one")[0] == 0
    # As it is with `diff`, whether it runs or not.
    hands.project.command("kill", "two")
    hands.project.command("wait", "two")
    assert hands.drift("two")[0] == 1
    assert set(hands.diff("two")) == set(hands.diff(identity[:4])) == {"/", "/by-hand"}


def test_an_instance_that_is_called_as_an_image(hands):
    assert hands.project.build("run echo 1 > /other", name="other.env").code == 0
    hands.start("other", "web")
    hands.start("web", "two")
    hands.change("echo 1 > /by-hand", "web")
    assert [report["instance"] for report in hands.drift("web")[1]] == ["web", "two"]
    assert [report["instance"] for report in hands.drift("web:latest")[1]] == ["two"]

"""An image is built again from what was kept of its build."""

import os
import shutil

import pytest

pytestmark = pytest.mark.namespaces


def test_the_same_comes_out_though_the_folder_is_gone(project):
    project.write("base/x.txt", "1")
    project.write("src/deep/file", "2")
    (project.folder / "src/link").symlink_to("deep/file")
    (project.folder / "src/deep/program").write_text("#!/bin/sh\n")
    (project.folder / "src/deep/program").chmod(0o755)
    project.write(".envignore", "*.secret")
    project.write("src/left.secret", "not copied")
    project.write("page.j2", "{{ name }}")
    project.write("more.env", "run echo included > /more")
    project.write(
        "web.env",
        "from tar:busybox.tar as tools",
        "run echo tool > /tool",
        "from tar:busybox.tar",
        "param name = ada",
        "include more.env",
        "copy src -> /app",
        "copy(exclude=['deep']) src -> /shallow",
        "render page.j2 -> /page",
        "copy(from=tools) /tool -> /tool",
        "run echo 1 > /a",
    )
    text = (project.folder / "web.env").read_text().splitlines()
    text.insert(0, text.pop(3))
    project.write("web.env", *text)
    done = project.build(options=("--set", "name=bob"))
    assert done.code == 0, done.out
    for name in ("src", "page.j2", "more.env", "web.env", ".envignore"):
        path = project.folder / name
        shutil.rmtree(path) if path.is_dir() else os.unlink(path)
    verified = project.command("verify", "web")
    assert verified.code == 0, verified.out + verified.err
    assert f"web is what its recipe gives: sha256:{done.image}" in verified.out
    assert project.cat("/page") == "bob\n"


def test_what_differs_is_named_and_nothing_else_changes(project):
    project.build("file /a\n    1", "run head -c 8 /dev/urandom > /random")
    lock = (project.folder / "web.env.lock").read_bytes()
    done = project.command("verify", "web")
    assert done.code == 1
    assert "/random: content" in done.out
    assert "/a" not in done.out
    assert (project.folder / "web.env.lock").read_bytes() == lock
    again = project.build()
    assert again.ran == []
    assert len(project.command("log", "web", "--oneline").out.splitlines()) == 1


def test_secrets_have_to_be_given_again(project):
    project.write("token", "s3cret")
    options = ("--secret", f"token={project.folder}/token")
    done = project.build("run(secret=token) wc -c < /run/secrets/token > /length", options=options)
    assert done.code == 0, done.out
    refused = project.command("verify", "web")
    assert (refused.code, "--secret token=FILE" in refused.err) == (2, True)
    assert project.command("verify", "web", *options).code == 0
    # Nor is a secret among what was kept.
    objects = [path for path in (project.store / "objects").rglob("*") if path.is_file()]
    assert not any(b"s3cret" in path.read_bytes() for path in objects)


def test_what_was_kept_survives_gc(project):
    project.write("src/x", "1")
    project.build("copy(owner=root) src -> /app", "file /a\n    1")
    assert project.command("gc").code == 0
    assert project.command("verify", "web").code == 0

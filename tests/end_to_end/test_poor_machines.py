"""Machines that lack something: what still works works, and the rest is told with the command that mends it."""

import os
import subprocess
import sys

import pytest

from tests import poor_machines

pytestmark = [pytest.mark.namespaces, pytest.mark.user]


@pytest.fixture
def recipe(project):
    project.write("web.env", "from tar:busybox.tar", *[f"run echo {number} > /f{number}" for number in range(6)])
    return project


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        ("ENOSPC", "sysctl -w user.max_user_namespaces="),
        ("ENOSYS", "CONFIG_USER_NS"),
        ("EPERM", "--security-opt seccomp=unconfined"),
    ],
)
def test_no_user_namespaces(recipe, error, mend):
    done = recipe.call(poor_machines.without_user_namespaces, error, "build", "web.env", "--progress", "plain")
    assert done.returncode == 3, done.stderr
    assert "does not let envbuild make a user namespace" in done.stderr
    assert mend in done.stderr
    doctor = recipe.call(poor_machines.without_user_namespaces, error, "doctor")
    assert doctor.returncode == 3
    assert mend in doctor.stdout


@pytest.mark.root
def test_a_kernel_that_executes_nothing_in_memory(recipe):
    """vm.memfd_noexec belongs to a process namespace (Linux 6.3), so that here it holds for the test alone."""
    setting = "/proc/sys/vm/memfd_noexec"
    if not os.path.exists(setting):
        pytest.skip("a kernel before 6.3")
    assert recipe.call(poor_machines.nothing, "build", "web.env").returncode == 0
    for words in ("build --no-cache web.env --progress plain", "run web -- true", "run -d web -- true", "doctor"):
        script = f"echo 2 > {setting} && exec {sys.executable} -m envbuild {words}"
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
            cwd=recipe.folder,
            env=recipe.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "sysctl -w vm.memfd_noexec=1" in done.stdout + done.stderr, (words, done)
        assert done.returncode in (1, 3)


def test_a_limit_of_no_namespaces_that_the_kernel_itself_holds_to(recipe):
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {sys.executable} -m envbuild build web.env"
    done = subprocess.run(
        ["unshare", "-U", "--map-root-user", "sh", "-c", script],
        cwd=recipe.folder,
        env=recipe.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"unshare(1) can't do it here: {done.stderr.strip()}")
    assert done.returncode == 3, done.stderr
    assert "sysctl -w user.max_user_namespaces=" in done.stderr


def test_what_needs_no_namespace_works_without_one(recipe):
    assert recipe.build().code == 0
    for words in (
        ("build", "web.env"),
        ("images",),
        ("show", "web"),
        ("ls", "web"),
        ("output", "web"),
        ("tag", "web", "w:2"),
    ):
        done = recipe.call(poor_machines.without_user_namespaces, "EPERM", *words)
        assert done.returncode == 0, done.stderr


def test_apparmor_that_lets_a_namespace_be_made_and_nothing_done_in_it(recipe):
    done = recipe.call(poor_machines.restricted_by_apparmor, "build", "web.env", "--progress", "plain")
    assert done.returncode == 1, done.stderr
    assert "the sandbox can't be set up: Permission denied" in done.stderr
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in done.stderr
    doctor = recipe.call(poor_machines.restricted_by_apparmor, "doctor")
    assert doctor.returncode == 3
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in doctor.stdout


def test_a_kernel_without_the_new_mount_calls(recipe):
    done = recipe.call(poor_machines.without_fsopen, "build", "web.env", "--progress", "plain")
    assert done.returncode == 1, done.stderr
    assert "envbuild needs Linux 5.12 or later" in done.stderr
    assert recipe.call(poor_machines.without_fsopen, "doctor").returncode == 3


def test_a_kernel_without_lowerdir_plus_mounts_in_the_old_way(recipe):
    done = recipe.call(poor_machines.without_lowerdir_plus, "build", "web.env", "--progress", "plain")
    assert done.returncode == 0, done.stderr
    ran = recipe.call(poor_machines.without_lowerdir_plus, "run", "web", "--", "cat", "/f0", "/f5")
    assert (ran.returncode, ran.stdout) == (0, "0\n5\n"), ran.stderr


class TestStores:
    """Stores on file systems that are not like the usual one; each mounted in a namespace of the test's own."""

    def in_mount(self, project, tmp_path, mount: str, commands: str):
        place = tmp_path / "place"
        place.mkdir()
        script = (
            f"cd {tmp_path} && {mount.format(place=place)} && cd {project.folder} && export ENVBUILD_STORE={place}/s; "
        )
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", script + commands.replace("envbuild", f"{sys.executable} -m envbuild")],
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    WORKS = (
        "envbuild build web.env --progress plain && envbuild run web -- cat /f3 && envbuild doctor > /dev/null; echo $?"
    )

    @pytest.mark.root
    @pytest.mark.parametrize(
        "mount",
        [
            "mount -t tmpfs t {place}",
            "mount -t tmpfs -o nosuid,nodev,noexec t {place}",
        ],
    )
    def test_on_tmpfs_and_without_the_right_to_execute(self, recipe, tmp_path, mount):
        done = self.in_mount(recipe, tmp_path, mount, self.WORKS)
        assert done.stdout.endswith("3\n0\n"), done.stdout + done.stderr

    @pytest.mark.root
    def test_on_overlayfs_it_is_refused_with_the_way_out(self, recipe, tmp_path):
        mount = "mkdir l u w && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w {place}"
        done = self.in_mount(
            recipe,
            tmp_path,
            mount,
            "envbuild build web.env --progress plain; echo build $?; envbuild doctor; echo doctor $?",
        )
        if "build 0" in done.stdout:
            return  # this kernel takes overlayfs on overlayfs
        assert "a store that lies on overlayfs itself has to be moved: ENVBUILD_STORE=DIR" in done.stderr, done.stderr
        assert "doctor 3" in done.stdout
        assert "ENVBUILD_STORE=DIR" in done.stdout

    def test_a_store_below_a_file_or_nowhere_is_told(self, recipe):
        recipe.write("file")
        for place in (recipe.folder / "file" / "store", "/proc/store", "/dev/null"):
            done = recipe.command("build", "web.env", ENVBUILD_STORE=str(place))
            assert done.code == 3, done.err
            assert "ENVBUILD_STORE=DIR" in done.err


class TestSingleId:
    """No range in /etc/subuid: everything belongs to one id, and that is said, recorded and part of the key."""

    def build(self, project, *lines: str):
        project.write("web.env", "from tar:busybox.tar", *lines)
        return project.call(poor_machines.with_single_id, "build", "web.env", "--progress", "plain")

    def test_changes_of_owner_are_answered_recorded_and_another_key(self, project):
        lines = (
            "run touch /f; chown 33:33 /f; chgrp 5 /f; tar cf /t.tar -C /etc passwd; tar xf /t.tar -C /",
            "run true",
        )
        single = self.build(project, *lines)
        assert single.returncode == 0, single.stderr
        assert "what steps write belongs to root of the image, whatever they ask for" in single.stderr
        shown = project.show()
        assert [step["owners_kept"] for step in shown["steps"]] == [False, False]
        assert "owners" in project.command("show", "web").out
        again = self.build(project, *lines)
        assert "all 3 cached" in again.stderr
        # With all ids it is another step: it runs, and its owners are right.
        full = project.build(*lines, options=("--explain",))
        assert full.ran == list(lines)
        assert full.of("step-explained")[0]["reasons"] == ["it ran with a single id before"]
        assert [step["owners_kept"] for step in project.show()["steps"]] == [True, True]

    def test_a_debian_package_is_installed(self, project, tmp_path):
        if not os.path.exists("/usr/bin/dpkg-deb") or not os.path.exists("/var/lib/dpkg/status"):
            pytest.skip("needs a Debian machine")
        package = tmp_path / "package"
        (package / "DEBIAN").mkdir(parents=True)
        (package / "usr/share/hi").mkdir(parents=True)
        (package / "usr/share/hi/file").write_text("installed\n")
        (package / "DEBIAN/control").write_text(
            "Package: hi\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: a test\n"
        )
        postinst = package / "DEBIAN/postinst"
        postinst.write_text("#!/bin/sh\nset -e\nchown 33:33 /usr/share/hi/file\nchgrp 8 /usr/share/hi\n")
        postinst.chmod(0o755)
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", package, project.folder / "hi.deb"],
            check=True,
            capture_output=True,
        )
        project.write("web.env", "from host", "run(mount=hi.deb:/hi.deb) dpkg -i /hi.deb && cat /usr/share/hi/file")
        done = project.call(poor_machines.with_single_id, "build", "web.env", "--progress", "plain")
        assert done.returncode == 0, done.stderr
        assert "installed" in done.stderr

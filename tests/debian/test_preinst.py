"""What is known of `preinst` scripts that are called for a first installation."""

import subprocess

import pytest

from envbuild.debian.preinst import MAX_SCRIPT, named_at_first

HEAD = "#!/bin/sh\nset -e\n"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "# a comment with an 'apostrophe\nexit 0",
        'dpkg-maintscript-helper rm_conffile /etc/bash_completion.d/git 1:1.8.0-1\\~ -- "$@"',
        'dpkg-maintscript-helper symlink_to_dir /usr/share/doc/a b 1.0 -- "$@"',
        'case "$1" in\n  upgrade)\n    rm -rf /\n  ;;\n  install|abort-upgrade)\n  ;;\n  *)\n    exit 1\n  ;;\nesac',
        'case "$1" in\n  install) ;;\n  upgrade)\n    if [ -d /x ]; then\n      rm /x\n    fi\n    ;;\nesac',
        'if [ "$1" = "upgrade" ] && dpkg --compare-versions "$2" lt 2; then\n  rm /x\nfi',
        'if [ "$1" = "install" ] && [ -n "$2" ] && [ -e "/etc/init.d/x" ] ; then\n\tchmod +x /etc/init.d/x\nfi',
        'if test "$1" = upgrade &&\n   test -L /x; then\n  if [ -e /y ]; then\n    rm /y\n  fi\nfi',
    ],
)
def test_scripts_for_upgrades_alone_go_by_nothing(body):
    assert named_at_first(f"{HEAD}{body}\n") == frozenset()


def test_paths_that_a_script_names_are_all_that_it_goes_by():
    script = f'{HEAD}case "$1" in\n  install)\n    rm -f /etc/a /etc/b\n    mkdir -p /var/lib/c\n  ;;\nesac\n'
    assert named_at_first(script) == {"etc/a", "etc/b", "var/lib/c"}


@pytest.mark.parametrize(
    "body",
    [
        "ls /usr/share > /etc/seen",
        "rm -f /etc/*",
        "rm -rf /etc/a",
        "rm -f $1",
        "touch /a; ls > /b",
        "[ -e /x ] || exit 0",
        'case "$1" in\n  install)\n    ls > /x\n  ;;\nesac',
        'case "$1" in\n  *)\n    ls > /x\n  ;;\n  install)\n  ;;\nesac',
        'case "$1" in\n  upgrade)\n    echo ";;\n  install) "\n  ;;\nesac\nls > /x',
        'if [ "$1" = "upgrade" ] || [ -e /x ]; then\n  ls > /y\nfi',
        'if [ "$1" = "upgrade" ]; then\n  :\nelse\n  ls > /x\nfi',
        'if [ -e /x ] && [ "$1" = "upgrade" ]; then\n  :\nfi',
        'if [ "$1" = "upgrade" ]; then\n  echo "\nfi\nls > /x\necho "\nfi',
        'if [ "$1" = "upgrade" ]; then\n  :\nfi; ls > /x',
        "cat <<x\nif [ 1 ]\nx\n",
        'dpkg-maintscript-helper rm_conffile /x 1 -- "$@"; ls > /x',
        'dpkg-maintscript-helper rm_conffile $(ls > /x) 1 -- "$@"',
        "x" * MAX_SCRIPT,
    ],
)
def test_of_other_scripts_nothing_is_known(body):
    assert named_at_first(f"{HEAD}{body}\n") is None


def test_of_programs_in_other_languages_nothing_is_known():
    assert named_at_first("#!/usr/bin/perl\nexit 0\n") is None
    assert named_at_first("") is None


def test_the_helper_of_dpkg_looks_first_whether_there_was_a_version(tmp_path):
    """The claim that stands behind its form: called as `install` alone, it changes nothing."""
    for words in ("rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink"):
        target = tmp_path / words
        target.write_text("kept\n")
        more = {"mv_conffile": [f"{target}2"], "symlink_to_dir": ["x"], "dir_to_symlink": ["x"]}.get(words, [])
        environment = {"DPKG_MAINTSCRIPT_PACKAGE": "p", "DPKG_MAINTSCRIPT_NAME": "preinst", "PATH": "/usr/bin:/bin"}
        command = ["dpkg-maintscript-helper", words, str(target), *more, "1.0~", "p", "--", "install"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert target.read_text() == "kept\n"
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(words)] == [words]

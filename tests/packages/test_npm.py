"""`npm`: packages of the registry, unpacked from the cache; scripts only where the statement asks for them."""

import json
import shutil

import pytest
import yaml

from tests.packages.conftest import DEBIAN

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
if shutil.which("npm") is None:
    pytestmark.append(pytest.mark.skip(reason="npm is not installed, which knows its registry"))
NODE = (DEBIAN, "apt nodejs")
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def locked(project) -> dict[str, dict]:
    lock = yaml.safe_load((project.folder / "web.env.lock").read_text())
    return {package["name"]: package for package in lock["stages"][-1]["steps"][1]["packages"]}


def test_a_package_with_a_range_is_locked_and_installed_offline(debian):
    script = "run cd /srv/app && node -e 'console.log(require(\"is-odd\")(3))' && cat package.json"
    done = debian.build(*NODE, "npm(into=/srv/app) is-odd@^3.0.0", script)
    assert done.code == 0, done.out
    assert "true\n" in done.printed
    assert '"is-odd": "^3.0.0"' in done.printed
    packages = locked(debian)
    assert packages["is-odd"]["version"].startswith("3.")
    assert packages["is-number"]["hash"].startswith("sha512:")
    assert packages["is-odd"]["from"].startswith("is-odd/-/is-odd-3.")
    again = debian.build(options=("--rerun", "3", "--locked"), **NO_NETWORK)
    assert again.code == 0, again.out
    assert again.image == done.image
    found = json.loads(debian.command("packages", "web", "--kind", "node", "--format", "json").out)
    assert {one["name"] for one in found} == {"is-odd", "is-number"}
    assert all(one["hash"].startswith("sha512:") and one["licences"] == ["MIT"] for one in found)


def test_a_project_with_its_lock_and_two_versions_of_one_package(debian):
    package = {"name": "app", "version": "1.0.0", "dependencies": {"is-odd": "3.0.1", "is-number": "7.0.0"}}
    debian.write("app/package.json", json.dumps(package))
    done = debian.build(*NODE, "npm(into=/srv/app) -r app", "run cd /srv/app && node -p 'require(\"is-odd\")(2)'")
    assert done.code == 0, done.out
    assert "false" in done.printed
    assert locked(debian)["is-number"]["version"] == "7.0.0"
    assert locked(debian)["is-odd/node_modules/is-number"]["version"].startswith("6.")
    assert json.loads(debian.cat("/srv/app/package.json")) == package


def test_scripts_run_only_where_the_statement_asks_for_them(debian):
    # Its script replaces a JavaScript file by a program.
    shown = (
        "run head -c 4 /srv/app/node_modules/esbuild/bin/esbuild | od -c; /srv/app/node_modules/.bin/esbuild --version"
    )
    done = debian.build(*NODE, "npm(into=/srv/app) esbuild@0.19.12", shown)
    assert done.code == 0, done.out
    assert "#   !" in done.printed
    done = debian.build(*NODE, "npm(into=/srv/app, scripts) esbuild@0.19.12", shown)
    assert done.code == 0, done.out
    assert "177   E   L   F" in done.printed
    assert "0.19.12" in done.printed
    assert not [name for name in locked(debian) if "darwin" in name or "win32" in name]


def test_what_can_not_be_had_is_told_in_npms_words_at_its_line(debian):
    done = debian.build(*NODE, "npm(into=/srv/app) is-odd@99")
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert "No matching version found for is-odd@99" in failed["message"]
    assert failed["line"] == 3

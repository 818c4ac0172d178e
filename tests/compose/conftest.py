import pytest

from envbuild.compose.file.load import load_group


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads a file of services in a folder `shop`, with these files beside it."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def load_text(text, name=None, user=None, **files):
        for file, content in files.items():
            (folder / file.replace("__", ".")).write_text(content)
        (folder / "services.yaml").write_text(text)
        return load_group("services.yaml", {"HOME": "/home/ada"} if user is None else user, "/home/ada", name)

    return load_text


@pytest.fixture
def service(load):
    """The service `web` of a file, without places; `lines` are what stands below it."""

    def read(*lines, before="", **more):
        text = "services:\n  web:\n    image: web\n" + "".join(f"    {line}\n" for line in lines) + before
        web = load(text, **more).service("web")
        assert web is not None
        return web

    return read

"""A small web service: what the environment of web.env is for."""

from configparser import ConfigParser

from flask import Flask

app = Flask(__name__)
settings = ConfigParser()
settings.read("/etc/web.ini")


@app.get("/")
def index() -> str:
    return settings["web"]["greeting"] + "\n"


@app.get("/health")
def health() -> str:
    return "ok"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=settings["web"].getint("port"))

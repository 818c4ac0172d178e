"""Docker's words, and envbuild's for the same: commands, options, statements of a Dockerfile, and images.

Whoever comes from docker is led on from the word that they know, which is often like no word of envbuild's: nothing
here is a guess at a slip of the hand. Read only where a word is unknown.
"""

from __future__ import annotations

from envbuild.text.instruction_forms import form_of

ALIASES: dict[str, tuple[str, ...]] = {
    "rmi": ("untag",),
    "inspect": ("show", "--format", "json"),
    "history": ("show",),
    "top": ("stats", "--no-stream"),
    "prune": ("gc",),
    "info": ("doctor",),
    "version": ("--version",),
    "save": ("export", "--format", "docker"),
    "container": (),
    "compose": (),
    "buildx": (),
    "builder": (),
    "image ls": ("images",),
    "image list": ("images",),
    "image rm": ("untag",),
    "image remove": ("untag",),
    "image build": ("build",),
    "image tag": ("tag",),
    "image inspect": ("show", "--format", "json"),
    "image history": ("show",),
    "image prune": ("gc",),
    "image push": ("push",),
    "image pull": ("pull",),
    "image save": ("export", "--format", "docker"),
    "container ls": ("ps",),
    "container list": ("ps",),
    "container remove": ("rm",),
    "system prune": ("gc",),
    "system df": ("du",),
    "system info": ("doctor",),
}
"""Commands of docker, of one word or two, and the words that stand for them here; the others follow as they are. With
no words, what follows is the command itself."""

COMMANDS: dict[str, str] = {
    "search": "`envbuild remote ls HOST` lists what a registry has; `apt-cache search WORD` finds packages for apt",
    "port": "`envbuild ps` shows the published ports of each instance",
    "rename": "an instance keeps its name: `envbuild clone OLD --name NEW` makes another with the same files, and "
    "`envbuild tag OLD NEW` gives an image another name",
    "create": "`envbuild run -d --name NAME IMAGE` makes and starts an instance",
    "pause": "`envbuild kill -s STOP INSTANCE` halts its process 1; `envbuild stop INSTANCE` ends it",
    "unpause": "`envbuild kill -s CONT INSTANCE` lets its process 1 go on",
    "load": "`envbuild import FILE` takes what `docker save` wrote; `docker save web | envbuild import -`",
    "events": "`envbuild build --progress json` prints the events of a build; `envbuild ps` lists the instances",
    "image": "`envbuild images` lists the images, `show`, `tag` and `untag` are commands of their own, `gc` cleans up",
    "system": "`envbuild gc` cleans up, `envbuild du` shows what is used, `envbuild doctor` what this machine can do",
    "network": "a network is made by the first instance that names it: envbuild run --network NAME IMAGE",
    "context": "envbuild has no daemon to connect to",
    "swarm": "envbuild runs instances on this machine only",
}
"""Commands of docker that have none like them here, and what to do instead."""

OPTIONS: dict[str, str] = {
    "--build-arg": "parameters of a recipe (param NAME = VALUE) are set with --set NAME=VALUE",
    "--target": "--stage STAGE builds a stage alone",
    "--pull": "`envbuild update` renews what the lock pins",
    "--platform": "images are made for this machine's architecture",
    "--label": "a recipe says: label NAME=VALUE",
    "--squash": "envbuild's images are trees without layers: nothing is to be squashed",
    "--cache-from": "the cache is the store's own, $ENVBUILD_STORE",
    "--mount": "-v HOST:DIR mounts a path, -v NAME:DIR a volume, --tmpfs DIR memory",
    "--entrypoint": "--entry PROGRAM, or --entry '' for none",
    "--env-file": "-e NAME=VALUE sets a variable, -e NAME passes the shell's own on",
    "--net": "--network private, host or NAME",
    "--link": "instances of one --network NAME reach each other by their names",
    "--privileged": "an instance has no rights on this machine; --unfiltered allows it all system calls",
    "--cap-add": "an instance has a fixed set of capabilities; --unfiltered allows it all system calls",
    "--cap-drop": "an instance has few capabilities already",
    "--security-opt": "--unfiltered turns the filter of system calls off",
    "--pids-limit": "--pids N limits the processes",
    "--volumes-from": "-v NAME:DIR mounts a volume in as many instances as name it",
}
"""Options of docker, and what is said here."""

STATEMENTS: dict[str, str] = {
    "from": "from BASE",
    "run": "run COMMAND",
    "cmd": 'start ["PROGRAM", "ARGUMENT"], or: start COMMAND',
    "entrypoint": 'entry ["PROGRAM", "ARGUMENT"]',
    "arg": 'param name = "VALUE"',
    "add": "copy SOURCE ... -> DESTINATION, or: fetch(unpack) URL -> DESTINATION",
    "copy": "copy SOURCE ... -> DESTINATION",
    "env": "env NAME=VALUE",
    "workdir": "workdir DIR",
    "user": "user NAME",
    "expose": "expose PORT",
    "volume": "volume DIR",
    "label": "label NAME=VALUE",
    "maintainer": 'label maintainer="NAME"',
    "healthcheck": "health COMMAND",
    "stopsignal": "stop SIGNAL",
    "shell": "shell /bin/bash -eo pipefail",
    "onbuild": "include FILE, with the statements that others are to share",
    "test": "test COMMAND",
}
"""The instructions of a Dockerfile in lower case, and the form of each in a recipe."""

SUITES = {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "latest": "bookworm"}
"""Debian's versions, of which images have their tags, and the names of the suites."""

_DEBIAN = "from debian:bookworm"

IMAGES: dict[str, str] = {
    "ubuntu": "",
    "alpine": "",
    "busybox": "",
    "fedora": "",
    "centos": "",
    "rockylinux": "",
    "almalinux": "",
    "hello-world": "",
    "python": "apt python3 python3-venv",
    "node": "apt nodejs npm",
    "golang": "apt golang",
    "rust": "apt cargo",
    "gcc": "apt build-essential",
    "openjdk": "apt default-jdk-headless",
    "eclipse-temurin": "apt default-jdk-headless",
    "maven": "apt maven",
    "tomcat": "apt tomcat10",
    "php": "apt php-cli",
    "wordpress": "apt wordpress",
    "ruby": "apt ruby",
    "perl": "apt perl",
    "nginx": "apt nginx",
    "httpd": "apt apache2",
    "haproxy": "apt haproxy",
    "redis": "apt redis-server",
    "memcached": "apt memcached",
    "postgres": "apt postgresql",
    "mysql": "apt mariadb-server",
    "mariadb": "apt mariadb-server",
}
"""Images that many begin with, and the line that gives a Debian the same program."""


def base_for(image: str) -> str:
    """Return what a recipe says in place of `FROM image`, for what it is known of; else an empty text.

    `image` is docker's name with its tag, as in `python:3.12-slim`.
    """
    name, _, tag = image.removeprefix("docker.io/").removeprefix("library/").partition(":")
    if name == "debian":
        version = tag.removesuffix("-slim").partition(".")[0]
        return f"from debian:{SUITES.get(version, version) or 'bookworm'}"
    if name not in IMAGES:
        return ""
    return f"{_DEBIAN}, and a line below it: {IMAGES[name]}" if IMAGES[name] else _DEBIAN


def hint_for_base(image: str) -> str:
    """Return what to begin a recipe with in place of an image that docker would pull, an empty text if it is none that
    is known."""
    base = base_for(image)
    if not base:
        return ""
    name = image.removeprefix("docker.io/").removeprefix("library/")
    tag = "" if ":" in name else ":TAG"
    return f"no registry is implied here: {base}; or name one that has it: from registry:HOST/{name}{tag}"


def hint_for_image(reference: str) -> str:
    """Return what to do for an image that docker would pull, an empty text if it is none that is known."""
    base = base_for(reference)
    if not base:
        return ""
    first, _, second = base.partition(", and a line below it: ")
    lines = f"`{first}` and `{second}`" if second else f"`{first}`"
    return (
        f"a name without a host is not pulled: make it from a recipe, as in a file my.env that says {lines}; "
        "then: envbuild build my"
    )


def hint_for_statement(word: str, rest: str = "") -> str:
    """Return the recipe's form of a Dockerfile's instruction in any case, an empty text if it is none. `rest` is what
    follows it on the line."""
    form = STATEMENTS.get(word.lower(), "")
    if not form:
        return ""
    if word.lower() == "from":
        words = [part for part in rest.split() if not part.startswith("--")]
        base = base_for(words[0]) if words else ""
        stage = f" as {words[2].lower()}" if len(words) > 2 and words[1].lower() == "as" else ""
        head, comma, more = (base or "from BASE").partition(",")
        form = f"{head}{stage}{comma}{more}"
    else:
        form = form_of(word.lower(), rest) or form
    return f"a recipe says: {form}"

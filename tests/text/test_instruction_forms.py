"""A line of a Dockerfile leads to the statement that it asks for."""

import pytest

from envbuild.language.load import load_recipe
from envbuild.text.docker_words import hint_for_statement
from envbuild.text.instruction_forms import MAX_LINE, form_of

FORMS = [
    ("RUN apt-get update && apt-get install -y --no-install-recommends curl git && rm -rf /x", "apt curl git"),
    ("RUN apt-get -y install \\", "apt PACKAGE ..."),
    ("RUN apt install curl=7.88.1; true", "apt curl=7.88.1"),
    ("RUN pip install --no-cache-dir -r requirements.txt", "pip(into=/opt/venv) -r requirements.txt"),
    ("RUN pip3 install flask gunicorn && true", "pip(into=/opt/venv) flask gunicorn"),
    ("RUN npm ci --omit=dev", "npm(into=/srv/app) -r ."),
    ("RUN npm install express", "npm(into=/srv/app) express"),
    ("RUN --mount=type=cache,target=/root/.cache make", "run(cache=/root/.cache) COMMAND"),
    ("RUN --mount=target=/src --network=none make", "run(mount=.:/src) COMMAND"),
    ("RUN --mount=type=bind,from=build,source=/out,dst=/in cp /in /x", "run(mount=build:/out:/in) COMMAND"),
    ("RUN --mount=type=secret,id=token --mount=type=tmpfs,target=/t x", "run(secret=token, tmpfs=/t) COMMAND"),
    ("RUN --mount=type=ssh git clone x", "run(ssh) COMMAND"),
    ("RUN <<EOF", "run, and below it the lines, indented"),
    ("RUN make", ""),
    ("COPY --from=build --chown=app:app /out /srv", "copy(from=build, owner=app:app) SOURCE ... -> DESTINATION"),
    ("COPY --link a b", ""),
    ("ADD --chmod=755 a b", "copy(mode=755) SOURCE ... -> DESTINATION"),
    ("HEALTHCHECK --interval=10s --retries=5 CMD x", "health(every=10s, retries=5) COMMAND"),
    ("HEALTHCHECK NONE", "health none"),
    ("EXPOSE 80", ""),
]


@pytest.mark.parametrize(("line", "form"), FORMS, ids=[line for line, _ in FORMS])
def test_a_line_leads_to_its_form_which_can_be_written_so(line, form):
    instruction, _, rest = line.partition(" ")
    assert form_of(instruction.lower(), rest) == form
    if form:
        assert hint_for_statement(instruction, rest) == f"a recipe says: {form}"
    if form and "PACKAGE" not in form and not form.startswith("run, "):
        recipe = f"from scratch as build\nfrom scratch\n{form}\n"
        load_recipe("web.env", {}, arch="amd64", read=lambda _: recipe.encode())


@pytest.mark.parametrize(
    "rest", ["", "--mount=", "--mount=type=cache", "--mount=type=none,x", "--from=", "x" * MAX_LINE]
)
def test_a_line_that_says_nothing_more_has_no_form(rest):
    assert [form_of(name, rest) for name in ("run", "copy", "healthcheck")] == ["", "", ""]

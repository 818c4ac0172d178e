"""From a stage's statements and its base's facts to its steps: every name, path and variable made final."""

from __future__ import annotations

from posixpath import dirname, join, normpath

from envbuild.language import model
from envbuild.language.statement_parts import Place, shell_words
from envbuild.plan import step as actions
from envbuild.plan.image_config import Facts, Program
from envbuild.plan.stage_facts import NothingToDrop, UndefinedVariable, after_statement
from envbuild.plan.step import BUILD_PROJECT, PROJECT, Step
from envbuild.record import Record

STEP_SHELL = ("/bin/sh", "-eu")


class StagePlan(Record):
    """The steps of a stage in order, the tests of the finished stage, and the facts at its end."""

    steps: tuple[Step, ...]
    tests: tuple[Step, ...]
    facts: Facts


def plan_stage(stage: model.Stage, base: Facts, stages: frozenset[str] = frozenset()) -> StagePlan:
    """Return what building `stage` means when its base has the facts `base`.

    `stages` are the names that `copy(from=...)` means as stages of this recipe; any other name is an image.
    Raises UndefinedVariable and NothingToDrop.
    """
    planner = _Planner(base, stages)
    for statement in stage.statements:
        try:
            planner.take(statement)
        except UndefinedVariable as error:
            from envbuild.language.statement_error import point_at_reference  # only where something is wrong

            place = error.reference
            point_at_reference(error, statement.place, statement.text, place.line, place.column)
            raise
        except NothingToDrop as error:
            from envbuild.language.statement_error import point_at

            point_at(error, statement.place, statement.text, (error.name,))
            raise
    return StagePlan(tuple(planner.steps), tuple(planner.tests), planner.facts)


class _Planner:
    """The state while the statements of one stage are read in order."""

    def __init__(self, base: Facts, stages: frozenset[str]) -> None:
        self.base = base
        self.facts = base
        self.stages = stages
        self.shell: tuple[str, ...] = STEP_SHELL
        self.discard: tuple[str, ...] = ()
        self.steps: list[Step] = []
        self.tests: list[Step] = []

    def take(self, statement: model.Statement) -> None:
        facts = self.facts
        match statement:
            case model.Run():
                self._add(statement, self._execute(statement))
            case model.Test():
                action = self._execute(statement)
                self.tests.append(Step(action, statement.place, statement.text, (), True, statement.options.timeout))
            case model.Copy():
                self._add(
                    statement,
                    actions.CopyIn(
                        statement.sources,
                        self._absolute(statement.destination),
                        None if statement.origin is None else self._origin(statement.origin, statement.place),
                        statement.owner,
                        statement.mode,
                        statement.exclude,
                        statement.folder,
                        statement.include,
                        statement.contents,
                        statement.parents,
                        statement.optional,
                        statement.unpack,
                    ),
                )
            case model.Render():
                self._add(
                    statement,
                    actions.Render(
                        statement.template,
                        self._absolute(statement.destination),
                        statement.parameters,
                        tuple(sorted(facts.environment_of_commands().items())),
                        statement.owner,
                        statement.mode,
                        statement.folder,
                    ),
                )
            case model.File():
                path = self._absolute(statement.path)
                self._add(statement, actions.WriteFile(path, statement.content, statement.owner, statement.mode))
            case model.Fetch():
                self._add(
                    statement,
                    actions.FetchFile(
                        statement.url,
                        self._absolute(statement.destination),
                        statement.sha256,
                        statement.owner,
                        statement.mode,
                        statement.unpack,
                    ),
                )
            case model.AddUser():
                self._add(
                    statement,
                    actions.AddUser(
                        statement.name,
                        statement.uid,
                        statement.gid,
                        statement.home,
                        statement.shell,
                        statement.groups,
                    ),
                )
            case model.Pip(projects=projects) if projects:
                # Two steps: an edit of a project's sources leaves what it needs as it is.
                needs = _packages(statement, facts)
                self._add(statement, needs)
                self._add(statement, _project(needs), f"pip(into={statement.into}) {' '.join(projects)}: the project")
            case model.Apt(destination=str(destination)):
                sources = _packages(statement, facts)
                into = (("into", self._absolute(destination)), *sources.options)
                self._add(statement, sources.replace(manager="aptsource", options=into))
            case model.Apt() | model.Pip() | model.Npm() | model.OfLock():
                self._add(statement, _packages(statement, facts))
            case model.Discard():
                self.discard += statement.patterns
                self._add(statement, actions.DiscardPaths(statement.patterns))
            case model.WorkDir():
                directory = self._absolute(statement.directory)
                self.facts = facts.replace(workdir=directory)
                self._add(statement, actions.MakeDirectory(directory))
            case model.Shell():
                self.shell = statement.argv
            case model.Entry():
                # The base's start command was meant for the base's entry.
                start = None if facts.start is self.base.start else facts.start
                self.facts = facts.replace(entry=Program(statement.argv), start=start)
            case _:
                self.facts = after_statement(statement, facts)

    def _add(self, statement: model.Statement, action: actions.Action, text: str = "") -> None:
        timeout = statement.options.timeout if isinstance(statement, model.Run) else None
        written = statement.text if text else ""
        self.steps.append(Step(action, statement.place, text or statement.text, self.discard, False, timeout, written))

    def _absolute(self, path: str) -> str:
        absolute = join(self.facts.workdir, path)
        slash = "/" if absolute.endswith("/") or path.rsplit("/", 1)[-1] == "." else ""
        clean = normpath(absolute)
        # normpath keeps two leading slashes, as POSIX gives them a meaning of their own; here they have none.
        clean = "/" + clean.lstrip("/")
        return clean if clean == "/" else clean + slash

    def _origin(self, origin: str, place: Place) -> actions.Origin:
        folder = dirname(place.file) or "."
        if origin in self.stages:
            return actions.Origin("stage", origin, folder)
        kind, colon, argument = origin.partition(":")
        if colon and kind in ("image", "recipe"):
            return actions.Origin(kind, argument, folder)
        return actions.Origin("image", origin, folder)

    def _execute(self, statement: model.Run | model.Test) -> actions.Execute:
        facts, command, options = self.facts, statement.command, statement.options
        shell = shell_words(options.shell) if options.shell else self.shell
        return actions.Execute(
            argv=(*shell, "-c", command.text),
            environment=tuple(sorted(facts.environment_of_commands().items())),
            parameters=command.parameters,
            user=facts.user if options.user is None else options.user,
            workdir=facts.workdir if options.workdir is None else self._absolute(options.workdir).rstrip("/") or "/",
            network=options.network,
            caches=options.caches,
            secrets=options.secrets,
            mounts=tuple((mount.source, mount.target) for mount in options.mounts if mount.origin is None),
            folder=statement.folder,
            shown=tuple(
                actions.TreeMount(self._origin(mount.origin, statement.place), mount.source, mount.target)
                for mount in options.mounts
                if mount.origin is not None
            ),
            tmpfs=options.tmpfs,
            ssh=options.ssh,
            devices=options.devices,
        )


def _packages(statement: model.Apt | model.Pip | model.Npm | model.OfLock, facts: Facts) -> actions.InstallPackages:
    # apt's packages are installed with a clean environment; what builds a package of pip or npm may look at it.
    environment = tuple(sorted(facts.environment_of_commands().items()))
    match statement:
        case model.Apt():
            options = (("recommends", ""),) if statement.recommends else ()
            source = (("source", statement.source),) if statement.source else ()
            key = (("key", statement.key),) if statement.key else ()
            return actions.InstallPackages("apt", statement.packages, key, (*options, *source), (), statement.folder)
        case model.Pip():
            links = tuple(("find-links", link) for link in statement.find_links)
            requirements = tuple(("-r", path) for path in statement.requirement_files)
            constraints = tuple(("-c", path) for path in statement.constraint_files)
            into = (("into", statement.into), *links)
            named = (("extra", statement.extras), ("group", statement.groups), ("without", statement.without))
            into += tuple((option, name) for option, names in named for name in sorted(set(names)))
            projects = tuple((PROJECT, word) for word in statement.projects)
            files = (*requirements, *constraints, *projects)
            return actions.InstallPackages("pip", statement.requirements, files, into, environment, statement.folder)
        case model.Npm():
            project = (("-r", statement.project),) if statement.project else ()
            scripts = (("scripts", ""),) if statement.scripts else ()
            manager = (("manager", statement.manager),) if statement.manager else ()
            into = (("into", statement.into), *scripts, *manager)
            return actions.InstallPackages("npm", statement.packages, project, into, environment, statement.folder)
        case model.OfLock():
            (manager_name,) = managers_of(statement)
            files, into = (("-r", statement.project),), (("into", statement.into),)
            # No program looks at the environment.
            return actions.InstallPackages(manager_name, (), files, into, (), statement.folder)


def managers_of(statement: model.Apt | model.Pip | model.Npm | model.OfLock) -> tuple[str, ...]:
    """Return the package managers of the steps that a statement becomes."""
    match statement:
        case model.Apt(destination=str()):
            return ("aptsource",)
        case model.Apt():
            return ("apt",)
        case model.Pip(projects=projects):
            return ("pip", "pip") if projects else ("pip",)
        case model.Npm():
            return ("npm",)
        case model.OfLock():
            return (type(statement).__name__.lower(),)


def _project(needs: actions.InstallPackages) -> actions.InstallPackages:
    """Return what builds and installs the projects of a statement themselves."""
    options = tuple(pair for pair in needs.options if pair[0] in ("into", "find-links"))
    files = tuple(pair for pair in needs.files if pair[0] == PROJECT)
    return needs.replace(wanted=(), files=files, options=(*options, (BUILD_PROJECT, "")))

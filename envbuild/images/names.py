"""What names of images mean in a directory.

In a git repository a name is the project's own, and without a tag it means the tag of the branch that is checked out.
Elsewhere, and where the project has no such name, it is one outside of all projects. `PROJECT/NAME` means the same
everywhere.
"""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.images.reference import LATEST, RevisionReference, TagReference, parse_new_name, parse_tag
from envbuild.record import Pairs, Record
from envbuild.store.branch_tags import DETACHED, PREFIX, branch_tag
from envbuild.store.project import Project, project_at
from envbuild.store.tags import NoSuchTag
from envbuild.store.working_tree import WorkingTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.store.images import Failure
    from envbuild.store.store import Store

Name = tuple[str, str]
"""(name, tag) as the store keeps them: `PROJECT/NAME` with the project's id, or NAME outside of all projects."""


class Place(Record):
    """A directory where names are used: the project that it lies in, None outside of all, and the tag of the branch
    that is checked out there."""

    project: Project | None = None
    branch: str = ""

    @property
    def id(self) -> str:
        """The project's id, "" outside of all."""
        return self.project.id if self.project is not None else ""

    def own(self, name: str) -> str:
        """Return a name of this place as the store keeps it."""
        return kept_name(self.id, name)


@fields
class NoSuchProject(UsageError):
    """`PROJECT/NAME` with a project that has no names in the store."""

    reference: str
    project: str
    names: Sequence[str]

    def text(self) -> tuple[str, str]:
        from envbuild.text.docker_words import hint_for_image  # only on a mistake
        from envbuild.text.suggestion import did_you_mean

        hint = hint_for_image(self.reference) or did_you_mean(
            self.project, self.names, "`envbuild images` lists what there is, with its projects"
        )
        return f"there is no image '{self.reference}': no project '{self.project}' has built here", hint


@fields
class AmbiguousProject(UsageError):
    """`PROJECT/NAME` that several projects have."""

    reference: str
    matches: Sequence[tuple[str, str]]

    def text(self) -> tuple[str, str]:
        listed = ", ".join(f"{name} ({path})" for name, path in self.matches)
        return f"{len(self.matches)} projects have an image '{self.reference}'", f"name one: {listed}"


@fields
class NotOnThisBranch(UsageError):
    """A name that was built on other branches only."""

    name: str
    branch: str
    others: Sequence[str]

    def text(self) -> tuple[str, str]:
        where = "with a detached HEAD" if self.branch == DETACHED else f"on {self.branch.removeprefix(PREFIX)}"
        return (
            f"'{self.name}' was not built {where} yet",
            f"build it here; or name what the lock in git says: {self.name}@HEAD; or another branch's image: "
            f"{', '.join(self.others[:5])}",
        )


def place_of(folder: str) -> Place:
    """Return the place that a directory is."""
    tree = WorkingTree.of(folder)
    if tree is None:
        return Place()
    branch = tree.branch
    return Place(project_at(tree.project), branch_tag(branch) if branch else DETACHED)


def kept_name(project: str, name: str) -> str:
    """Return a name of the project with this id ("" outside of all) as the store keeps it."""
    return f"{project}/{name}" if project else name


def locate(store: Store, reference: TagReference, folder: str) -> Name:
    """Return the tag that a reference means in `folder`, whether it is there or not.

    Raises NoSuchProject, AmbiguousProject, and NotOnThisBranch for a name without a tag.
    """
    if reference.project:
        return kept_name(_project(store, reference), reference.name), reference.tag or LATEST
    place = place_of(folder)
    if place.project is None:
        return reference.name, reference.tag or LATEST
    own = tag_here(store, place, reference)
    if store.tags.is_known(*own):
        return own
    others = store.tags.branches_of(own[0]) if own[1] == place.branch and not reference.tag else []
    if others:
        names = [f"{reference.name}:{tag}" for tag in others]
        raise NotOnThisBranch(reference.name, place.branch, names)
    outside = reference.name, reference.tag or LATEST
    return outside if store.tags.is_known(*outside) else own


def tag_here(store: Store, place: Place, reference: TagReference) -> Name:
    """Return the tag that a name means as one of the place's own. Without a tag it is that of the branch, for a name
    that builds on branches have moved; else `latest`."""
    name = place.own(reference.name)
    if reference.tag or place.project is None:
        return name, reference.tag or LATEST
    tags = store.tags
    by_branch = tags.is_known(name, place.branch) or tags.branches_of(name)
    return name, place.branch if by_branch else LATEST


def to_set(store: Store, text: str, folder: str) -> tuple[Place, list[Name]]:
    """Return the tags that a command sets which is to give an image the name `text` in `folder`, and the place that
    they belong to. The tag of a branch takes `latest` along, as in a build.

    Raises BadName, BranchTag, NoSuchProject and AmbiguousProject.
    """
    reference = parse_new_name(text)
    if reference.project:
        identity = _project(store, reference)
        return Place(store.projects.get(identity)), [(kept_name(identity, reference.name), reference.tag or LATEST)]
    place = place_of(folder)
    name, tag = tag_here(store, place, reference)
    return place, [(name, tag) for tag in dict.fromkeys((LATEST, tag) if tag == place.branch else (tag,))]


def last_failure(store: Store, recipe: str | None, folder: str) -> Failure | None:
    """Return where the last build of a recipe of the project that `folder` lies in failed, or with None the last build
    of any of them; outside of all projects, of any recipe."""
    place = place_of(folder)
    if recipe is None:
        return store.images.failure(None, place.id)
    identity, _, name = recipe.rpartition("/")
    if identity:
        return store.images.failure(kept_name(_project(store, TagReference(name, "", project=identity)), name))
    return store.images.failure(place.own(recipe)) or store.images.failure(recipe)


def with_latest(store: Store, text: str, name: Name) -> list[Name]:
    """Return the tags that are moved with `name`, which `text` means: `latest` too if that is the tag of a branch that
    `text` does not name."""
    reference = parse_tag(text)
    along = reference is not None and not reference.tag and name[1] != LATEST
    return [name, (name[0], LATEST)] if along else [name]


def kept_reference(store: Store, text: str, folder: str) -> str:
    """Return a reference that means everywhere what `text` means in `folder`: for the record of an instance."""
    reference = parse_tag(text)
    if reference is None:
        return text
    try:
        name, tag = locate(store, reference, folder)
    except UsageError:
        return text
    if name == reference.name or not store.tags.is_known(name, tag):
        return text
    return f"{name}:{tag}" if reference.which is None else f"{name}:{tag}@{{{reference.which}}}"


def kept_tag(text: str) -> Name | None:
    """Return the tag that a reference of an instance's record names, None for one that is no tag or names a past
    image."""
    reference = parse_tag(text)
    if reference is None or reference.which is not None:
        return None
    return kept_name(reference.project, reference.name), reference.tag or LATEST


def in_other_projects(store: Store, reference: TagReference) -> Pairs:
    """Return (PROJECT/NAME, path) for each project that has a name that was used without one."""
    if reference.project:
        return ()
    having = [project for project in store.projects.all() if store.tags.has_name(kept_name(project.id, reference.name))]
    return tuple((f"{store.projects.name(project.id)}/{reference.name}", project.path) for project in having)


def no_such_tag(store: Store, reference: TagReference, name: Name, folder: str) -> NoSuchTag:
    """Return the error for a reference that means `name`, which has no history."""
    here = place_of(folder).id
    names = [store.projects.shown(":".join(pair), here) for pair in store.tags.with_history()]
    return NoSuchTag(store.projects.shown(":".join(name), here), names, in_other_projects(store, reference))


def repository_of(store: Store, reference: RevisionReference, folder: str) -> str:
    """Return the directory in whose repository a revision is looked for: `folder`, or that of the project that the
    reference names. Raises NoSuchProject and AmbiguousProject."""
    if not reference.project:
        return folder
    project = store.projects.get(_project(store, TagReference(reference.name, "", project=reference.project)))
    return project.path if project is not None else folder


def _project(store: Store, reference: TagReference) -> str:
    """Return the id of the project that a reference names. Of several projects it is the one that has the name."""
    projects = store.projects.named(reference.project)
    if not projects:
        names = [store.projects.name(project.id) for project in store.projects.all()]
        written = f"{reference.project}/{reference.name}{f':{reference.tag}' if reference.tag else ''}"
        raise NoSuchProject(written, reference.project, names)
    having = [project for project in projects if store.tags.has_name(kept_name(project.id, reference.name))]
    if len(having or projects) > 1:
        named = [
            (f"{store.projects.name(project.id)}/{reference.name}", project.path) for project in having or projects
        ]
        raise AmbiguousProject(f"{reference.project}/{reference.name}", named)
    return (having or projects)[0].id

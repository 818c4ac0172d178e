"""What can go wrong that a user can act on: a closed family of errors.

EnvbuildError  exit 2
  Interrupted  exit 130
  MachineLacks  exit 3
    DiskTrouble(error)
    CannotMakeDevice(path)  store.layer_writer
    CannotMountOverlay(reason)  sandbox.overlay
    HelperLacks(reason, mend)  sandbox.helper_client
    IdsNotMapped(reason)  sandbox.user_namespace
    NeedsIdRange(reason)  bases.debian
    NoApt  capture.apt_versions
    NoCrateRegistry(reason)  packages.cargo_servers
    NoGit  git.program
    NoGoProxy  packages.go_servers
    NoLauncher  sandbox.launcher
    NoMavenRepository(reason)  packages.maven_settings
    NoMmdebstrap  bases.debian
    NoNetworkTool  instances.network.private
    NoRegistry  packages.npm_servers
    NoTool(form, package, reason)  sharing.disk_image
    NoTun(error)  instances.network.private
    NoUserNamespace(reason, mend)  sandbox.user_namespace
    NotSigned(name, reason)  build.vendor_sums
    NothingStarts  capture.schedule_files
    SomebodyElses(path, uid)  store.owner
    StoreFull(path, reason)  store.database
    StoreUnusable(path, reason)  store.database
  UsageError
    BadOption(where, value, kind, example)
    FileUnusable(path, reason, mend, where)
    AgentMissing(name, reason)  build.user_grants
    AmbiguousDigest(reference, matches)  images.find
    AmbiguousInstance(reference, identities)  instances.records
    AmbiguousProject(reference, matches)  images.names
    AmbiguousRef(url, ref)  git.remote
    ArchiveError(archive, reason, offset, member)  archive.limits
    BadAddress(url)  http.addresses
    BadAuthFile(path, reason)  registry.errors
    BadCacheSettings(path, reason)  sharing.cache_settings
    BadCaptureRecord(file, reason)  images.capture_record
    BadDatabase(reason)  debian.host_dpkg
    BadDotEnv(path, error)  compose.file.load
    BadFileReference(reference)  images.reference
    BadGroupName(name, error)  compose.file.load
    BadIgnoreFile(path, reason)  capture.left_out
    BadImage(source, reason, mend)  oci.manifest
    BadKey(path, reason, mend)  trust.keys
    BadLock(path, reason, hint)  lockfile.lock
    BadMoment(moment)  text.dates
    BadName(name, what)  images.reference
    BadPattern(pattern)  tree.patterns
    BadPolicy(path, reason)  trust.policy
    BadReference(reference, reason)  registry.reference
    BadRegistriesFile(path, reason)  registry.mirrors
    BadRegistryBase(place, reason)  build.registry_images
    BadResolved(path, reason)  merge.conflict_files
    BadSource(source)  packages.apt_servers
    BadTemplate(path, line, reason)  build.template
    BadTree(reason)  git.tracked_files
    BaseUnknown(reference, said)  rebase.image_base
    BlobTooLarge(size, limit)  git.blobs
    Blocked(reference, path)  registry.mirrors
    BranchTag(name)  images.reference
    ChosenTwice(name)  merge.choices
    ConflictsNotWritten(path, reason)  merge.conflict_files
    ContextError  build.context_ignore
      AbsoluteSource(source, named_by, folder)  build.context
      ContextOutside(folder, project)  build.context
      ContextUnreadable(path, reason, mend)  build.context_ignore
      FoldersTooDeep(path)  build.context_scan
      IgnoreFileOutside(path)  build.context_ignore
      NotToBeCopied(path)  build.context_scan
      NothingIncluded(source)  build.context
      SourceLeftOut(source, patterns)  build.context
      SourceMissing(source, named_by, folder, mend)  build.context
      SourceNotAFile(what, path)  build.context
      SourceOutside(source, named_by, folder, path)  build.context
      SourceTooLarge(what, path)  build.context
    CopiesRefused(files)  drift.copied_files
    DeviceNotAllowed(device)  build.devices
    DeviceUnusable(device, reason, mend)  build.devices
    EmptyPath  instances.copy
    EndlessLinks(shown, may_leave)  instances.copy
    FifoOfGit(path)  git.repository
    FileAsDirectory(shown)  instances.copy
    FileInTheWay(shown, source)  instances.copy
    FileOfRevisionTooLarge(revision, path, error)  git.repository
    FolderNotWritable(path, reason)  drift.commit
    GitFailed(words, errors)  git.program
    GitTooMuch(words, limit)  git.program
    GitTooSlow(words, seconds)  git.program
    GroupFileTooLarge(path)  compose.file.load
    ImageGone(reference, digest)  images.find
    IndexElsewhere(index, git_dir)  git.repository
    KeyExists(path)  trust.keys
    LeadsNowhere(shown)  instances.copy
    LinkCircle(path)  tree.lookup
    LinkInPath(path, link, target)  capture.restore_plan
    LinkNotFollowed(shown, target)  instances.copy
    LocalRequirement(path, line)  packages.pip
    LockNotWritten(path, reason)  lockfile.lock_file
    ManyHeads(kind, number)  git.merge_in_progress
    ManyRecipes(name, revision, paths)  git.lock_at_revision
    NeedsSecrets(names)  build.verify
    NetworkOfDocker(name)  instances.network.select
    NoAgent(name)  build.user_grants
    NoBaseKnown(name, system)  capture.machine_base
    NoBlob(oid)  git.blobs
    NoDirectoryThere(shown)  instances.copy
    NoFile(directory)  compose.file.load
    NoFolder(path)  drift.commit
    NoHealthTest  compose.instance_plan
    NoLock(path)  build.pinned_files
    NoLockOf(name, revision)  git.lock_at_revision
    NoMergeInProgress(root)  git.merge_in_progress
    NoMergedImage(path)  cli.merge_in_git
    NoRange(revisions)  history.review
    NoRecipeHere(folder, dockerfile)  cli.recipe_operand
    NoRepository(folder)  git.repository
    NoShell(reference)  instances.sandbox_request
    NoSource(suite)  bases.debian
    NoSources(reference)  build.verify
    NoStepThere(wanted, lines)  build.rerun_lines
    NoSuchAccount(kind, name)  images.accounts
    NoSuchConflict(name, names)  merge.choices
    NoSuchEntry(full, which, reason)  store.tags
    NoSuchFile(path)  history.operand
    NoSuchImage(reference, near, any_image, elsewhere, recipe)  images.find
    NoSuchInstance(reference, names)  instances.records
    NoSuchPackage(name, image)  capture.package_moves
    NoSuchPackage(name, known)  debian.host_dpkg
    NoSuchPath(reference, path, exists)  cli.image_path
    NoSuchProgram(name)  bases.programs
    NoSuchProject(reference, project, names)  images.names
    NoSuchRevision(revision)  git.repository
    NoSuchRoot(path, reason)  capture.machine_root
    NoSuchSecret(name, place)  build.user_grants
    NoSuchService(name, file, services)  compose.file.order
    NoSuchStage(recipe, name)  plan.graph
    NoSuchTag(full, names, elsewhere)  store.tags
    NoSuchTarget(name, to)  history.rollback
    NoSuchVolume(name, names)  instances.volumes
    NoSuite(suite)  bases.debian
    NoWorkingDirectory(path)  instances.sandbox_request
    NotABaseHere(base)  capture.machine_base
    NotACapture(image)  capture.going_back
    NotACapture(reference)  cli.live_machine
    NotAFile(revision, path)  git.repository
    NotALayout(path, reason)  sharing.export
    NotAPlainName(name)  capture.capture
    NotAnArchive(source)  build.inputs
    NotAsBuilt(reference, digest, path, revision, reason)  images.find
    NotBefore(good, bad)  git.repository
    NotBuiltHere(reference, digest, path, revision)  images.find
    NotForContent(shown)  instances.copy
    NotInCapture(path, image, reason)  capture.restore_plan
    NotInRegistry(reference, host)  registry.errors
    NotInRevision(revision, path)  git.repository
    NotInStore(label)  history.file_diff
    NotInTree(source, origin, statement)  build.inputs
    NotLocked(name, path, near, base)  build.lock_changes
    NotLockedFor(path, architecture, known)  build.pinned_files
    NotOfLines(path, reason)  history.line_blame
    NotOnThisBranch(name, branch, others)  images.names
    NotOpened(shown, reason)  instances.copy
    NotOurs(path)  capture.schedule_files
    NotOurs(path, error)  git.install
    NotRoot(command)  cli.restore_packages
    NothingDiffers(good, bad)  bisect.bisect
    NothingEarlier(full)  history.rollback
    NothingFailed(recipe)  cli.commands.shell
    NothingInCommon(old, new)  git.repository
    NothingThere(shown)  instances.copy
    NothingToCompare(path)  history.operand
    NothingToDrop(place, name)  plan.stage_facts
    NothingToMerge(kind)  rebase.git_images
    NothingToRun(reference)  instances.config
    OddHead(path, reason)  git.merge_in_progress
    OfAnotherUser(reference, user)  cli.live_machine
    OtherDigest(reference, name, actual)  images.find
    OtherWorkTree(folder, worktree)  git.repository
    ProjectTooLarge(folder)  build.project_files
    RecipeCycle(paths)  build.loader
    RecipeErrors(diagnostics)  text.diagnostics
    RecipeInTheWay(path)  drift.recipe_text
    RecordUnreadable(problem)  instances.record
    SamePort(services, port)  compose.preflight
    SameThere(path)  history.file_diff
    ServiceErrors(diagnostics)  compose.file.reader
    ShownWhileRunning(name, mount)  instances.copy
    StillMarked(path)  merge.conflict_files
    StoreInUse  store.database
    StoreTooNew(path, format)  store.database
    TooManyRequirementFiles(statement)  packages.pip
    UndefinedVariable(place, reference)  plan.stage_facts
    UnequalRanges(mapping, outside, inside)  instances.network.ports
    UnlikeBase(reference, name, share)  rebase.image_base
    UnreadableFile(path, reason)  build.recipe_files
    UnsafeProgram(path, reason)  capture.schedule_files
    UnusableLockFile(path, reason, hint)  packages.python_locks.document
    UnusableProject(path, reason, hint)  packages.python_project
    WasCommitted(reference, instance)  build.verify
    WasPutTogether(reference, by)  build.verify
    WhichNetwork(file, networks)  cli.bisect_services
    WhichRecipe(folder, paths, command)  cli.recipe_operand
  WorkFailed  exit 1
    AccountTaken(what)  images.accounts
    AccountsTooLarge(path, size)  images.accounts
    AlreadyRunning(name)  instances.lock
    BadArchive(path, reason)  debian.deb
    BadCargoLock(path, line, reason, hint)  packages.cargo_lock
    BadCrate(crate, reason)  packages.cargo_tasks
    BadDocument(what, reason)  packages.documents
    BadEnvelope(source, reason)  trust.envelope
    BadGoSum(path, line, reason)  packages.go_sum
    BadMavenLock(path, line, reason, hint)  packages.maven_lock
    BadObservation  trace.observed
    BadPom(name, reason)  packages.maven_pom
    BadProjectLock(path, line, reason, hint)  packages.node_locks.indented_text
    BadProxy(address)  build.step_network.machine
    BadReads(reason)  trace.reads
    BadSubmodule(url, path, reason)  git.submodules
    BadSucceeds(label, how)  bisect.judge
    Between(name)  instances.rootfs
    CannotJoin(name, reason)  instances.network.named
    CannotMakeNetwork(reason)  instances.network.named
    CaptureNotHere(reference, tree)  build.capture_base
    ChangedWhileBuilt(path)  compose.images
    ChildKilled(status)  linux.forked
    CommitWithoutImage(commit)  bisect.commits
    ContentChanged(path)  store.step_cache
    ContentElsewhere(path)  store.upper
    ContentPromised(path, package, version, architecture, reason)  store.promised
    FetchFailed(url, reason)  build.fetch
    GoodFails(label, how)  bisect.judge
    ImageDamaged(reason)  instances.foreground
    ImageLost(instance)  drift.instance_tree
    ImageOfInstanceGone(instance, reference)  drift.instance_operand
    InTheWay(path, kind, obstacle)  linux.safe_copy
    InstanceDamaged(instance, reason)  instances.record
    LeadsThrough(path)  instances.copy_tar
    LockOutOfDate(path, difference)  lockfile.lock
    MemberDamaged(path)  instances.network.members
    MirrorFailed(suite, what, output)  bases.debian
    MountedThere(path)  linux.safe_copy
    NameTaken(name)  instances.instance_names
    NeedsNetwork(recipe, needs, vendored)  build.file_sources
    NetworkFull(name, members)  instances.network.named
    NoManager(manager, lacking, mend)  packages.errors
    NoSuchCommit(url, commit)  git.remote
    NoSuchRef(url, ref)  git.remote
    NotACapture(reference)  build.capture_base
    NotADirectory(path, is_kind)  tree.apply
    NotAnswering(name)  instances.control_client
    NotBuilt(path)  build.commit_image
    NotBuilt(path)  compose.images
    NotConnected(program, reason)  instances.network.private
    NotInLayers(path, reason)  oci.layer_tar
    NotReproducible(findings)  build.execution
    NotRunning(name)  instances.control_client
    NotSaved(path, reason)  capture.going_back
    NotSignedBy(reference, keys, count)  cli.signature_check
    NotToBeHad(package, reasons, locked, renewal)  packages.errors
    OtherArchive(name, version, reason)  packages.node_locks.yarn_archive
    OtherMachines(ours, theirs)  merge.facts
    OtherModule(name, reason)  packages.go_sum
    OwnersLost(base, locked)  build.base_owners
    PathTooLong  build.execution
    PinnedImageGone(reference, digest)  build.registry_images
    PortTaken(port, error)  instances.network.ports
    ProgramFailed(command, reason)  capture.schedule_files
    ProxyFailed(error)  build.step_network.step_proxy
    Refused(name, reason, mend)  instances.control_client
    RegistryError  registry.errors
      BadAnswer(host, what, reason)  registry.errors
      Denied(host, what, user, reason)  registry.errors
      HelperFailed(name, reason)  registry.errors
      NotEncrypted(host, reason)  registry.errors
      RegistryRefuses(host, what, status, reason)  registry.errors
      Unauthorized(host, what, user, reason)  registry.errors
      Unreachable(host, reason)  registry.errors
    SandboxFailure  sandbox.spec
      BadMessage(reason)  sandbox.codec
      BindKeepsIds(source)  sandbox.idmapped_mounts
      CannotBind(bind, error)  sandbox.idmapped_mounts
      CannotEnter(directory, error)  sandbox.child
      CannotExecute(name, error)  exit 126  sandbox.child
      CannotKeep(path, error)  sandbox.readonly_binds
      CommandTooLong  sandbox.child_orders
      FailedInside(reason, mend)  sandbox.spec
      FolderKeepsIds(folder, error)  sandbox.idmapped_mounts
      HelperGone  sandbox.helper_client
      MountBlocked(path)  sandbox.mounts
      NoGroupInTree(name)  sandbox.user_lookup
      NoMountPoint(path)  sandbox.mounts
      NoOwnProc  sandbox.own_init
      NoProcForSteps  sandbox.step_server
      NoProgramInTree(name)  exit 127  sandbox.child
      NoSandbox(reason, mend)  sandbox.direct
      NoUserInTree(name)  sandbox.user_lookup
      NotArrived(what)  sandbox.spec
      NotForThisMachine(name)  exit 126  sandbox.child
      SandboxEnded(mend)  sandbox.exec_client
      TooManyGroups(name, count)  sandbox.user_lookup
    ServerRefused(url, reason)  git.network_program
    ServiceFailed(service, instance, reason, printed, mend)  compose.up
      StaysUnhealthy(service, instance, reason, printed, mend)  compose.up
    SourcesLeadOut(path)  build.source_tree
    StartFailed(reason, mend)  instances.background
    StepFailure(place, reason)  build.step_failure
    SupervisorGone(trace)  instances.background
    TagRefuses(tag)  store.tags
    TargetMoved(target, expected, actual)  sharing.promote
    TooDeep(path)  linux.safe_copy
    TooFlaky(good, bad, rates)  bisect.judge
    TooLargeToFetch(url, most)  packages.errors
    TooLargeToRead(entry, most)  store.objects
    TooManyNetworks  instances.network.named
    TooMuchCopied(source)  build.adopted_tree
    TooMuchOfGit(url, limit)  git.network_program
    TooSparse(path, limit)  linux.sparse_files
    TookTooLong  linux.sparse_files
    ToolFailed(program, words)  sharing.disk_image
    Unresolved(manager, reason, hint)  packages.errors
    UnsafeName(what, name)  lockfile.checked_name
    Untrusted(name, use, reason, keys, policy)  trust.evidence
    VolumeExists(name)  instances.volumes
    VolumeInUse(name, users)  instances.volume_users
    WrongDigest(url, expected, actual, source)  build.fetch
    WrongHash(package, actual, where, renewal)  packages.errors
  ChildError(exit_code, reported, excerpt)  linux.forked
  Stopped  build.step_failure
  StoppedByOthers  git.network_program
  StoreDamaged  exit 1  store.database
    DatabaseDamaged(file, reason)  store.database
    LayerChanged(layer, reason)  store.stacks
    PartDamaged(part, fault, mend)  store.database

Each part of envbuild defines its own errors, as a subclass of one of the four kinds, which are the documented exit
codes. An error has fields: what is wrong, where, and with what it could be mended. Its `text` makes the message and the
hint from them; the hint, shown in a line of its own, is the way out. Only the command line shows them (ui/errors.py).
An exception of any other type that reaches the command line is a bug of ours, and is shown as one.
"""

from __future__ import annotations

import errno

from envbuild.record import dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Kind = TypeVar("Kind", bound="type[EnvbuildError]")


class EnvbuildError(Exception):
    """An error that the user can mend."""

    exit_code = 2
    __match_args__: tuple[str, ...] = ()

    def __init__(self, message: str = "", hint: str = "") -> None:
        """An error with `fields`, be there none of them, has made both in `text`."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reported = False
        """Whether a display has shown it while it happened, so that it isn't shown again at the end."""
        self.excerpt = ""
        """The message and the hint with the statement that led to it, as language/statement_error.py makes it."""

    def text(self) -> tuple[str, str]:
        """Return the message and the hint, made from the fields."""
        return self.message, self.hint


@dataclass_transform()
def fields(kind: Kind) -> Kind:
    """Turn the annotations of an error's class into fields, which are given by position or by name.

    The class defines `text`. Its module has `from __future__ import annotations`.
    """
    # Type checkers make both of the fields themselves.
    setattr(kind, "__match_args__", (*kind.__match_args__, *kind.__annotations__))  # noqa: B010
    setattr(kind, "__init__", _set_fields)  # noqa: B010
    return kind


def _set_fields(error: EnvbuildError, *positional: Any, **named: Any) -> None:
    names = error.__match_args__
    values = {**dict(zip(names, positional, strict=False)), **named}
    for name in names:
        # A default is an attribute of the class.
        setattr(error, name, values.pop(name) if name in values else getattr(type(error), name))
    if values or len(positional) > len(names):
        raise TypeError(f"{type(error).__name__} has the fields {names}, not {(*positional, *named)}")
    EnvbuildError.__init__(error, *error.text())


class UsageError(EnvbuildError):
    """The recipe or the command line asks for something that isn't there or makes no sense (exit 2)."""


@fields
class BadOption(UsageError):
    """A value that an option or a variable (`where`) can't have; `kind` is what it takes, `example` shows it."""

    where: str
    value: str
    kind: str
    example: str

    def text(self) -> tuple[str, str]:
        return f"{self.where}: '{self.value}' is not a valid {self.kind}", f"as in: {self.example}"


@fields
class FileUnusable(UsageError):
    """A file that the user named can't be read or written, for a `reason` that the system gives."""

    path: str
    reason: str
    mend: str
    where: str = ""

    def text(self) -> tuple[str, str]:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.path}: {self.reason}", self.mend


class WorkFailed(EnvbuildError):
    """A step, a test or a check did not succeed (exit 1)."""

    exit_code = 1


class MachineLacks(EnvbuildError):
    """This machine can't do what is needed; the hint names what to install or to change (exit 3)."""

    exit_code = 3


@fields
class DiskTrouble(MachineLacks):
    """A file can't be read or written, although it may be: the disk is full, broken or read-only, or too many files are
    open."""

    error: OSError

    def text(self) -> tuple[str, str]:
        hint = "free some space on its disk (envbuild gc), or mend the disk; then run the same command again"
        if self.error.errno in (errno.EMFILE, errno.ENFILE):
            hint = "raise the limit on open files (ulimit -n), or build with --jobs 1; then run the same command again"
        path = f"{self.error.filename}: " if self.error.filename else ""
        return f"{path}{self.error.strerror or self.error}", f"{hint}: what had finished is kept"


DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""The numbers of errors that are DiskTrouble."""


@fields
class Interrupted(EnvbuildError):
    """The user ended the command (exit 130)."""

    exit_code = 130

    def text(self) -> tuple[str, str]:
        return "interrupted", "what had finished is kept; run the same command to go on"

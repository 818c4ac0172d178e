"""`envbuild rebase`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format
from envbuild.cli.merge_options import add_merge_options, choices_of, tag_beside, write_if_asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Put the changes that an image made to its base on another base, in place of a rebuild: for an image whose recipe isn't
at hand, such as a pulled one. It is the merge of image and new base since the old base (envbuild merge), with the same
conflicts and choices. Its tests and the audits of its package managers run before the result is tagged.

What the image was built on is known from its layers or from the record of its build; --base says it otherwise. The
image itself stays as it is. Exit code: 0 if the result is tagged, 1 if there are conflicts or a check failed."""

EXAMPLES = """\
examples:
  envbuild rebase web --onto debian:bookworm@new        today's Debian below what the image has
  envbuild rebase shop/web:1.2 --onto distribution:12.9 -t shop/web:1.2-patched
  envbuild rebase came:1 --base distribution:12.8 --onto distribution:12.9 --theirs openssl"""

REBASED = "rebased"
"""The tag of a rebased image, if none is given."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image in any form")
    parser.add_argument(
        "--onto",
        required=True,
        metavar="BASE",
        help="the new base: an image in any form, or debian:SUITE, registry:HOST/PATH:TAG, host; with @new behind it, "
        "as it is today",
    )
    parser.add_argument("--base", metavar="IMAGE", help="what the image was built on, where that is not known")
    parser.add_argument(
        "--tag", "-t", metavar="NAME[:TAG]", help=f"the tag of the result (default: IMAGE's name, with :{REBASED})"
    )
    add_merge_options(parser, "IMAGE", "BASE")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.cli.build_display import display_of
    from envbuild.cli.build_options import interrupt_on_termination, request_of_user
    from envbuild.cli.json_output import print_json
    from envbuild.cli.user_namespace import enter_for
    from envbuild.images.names import to_set
    from envbuild.images.reference import LATEST
    from envbuild.rebase.image_base import base_of
    from envbuild.rebase.made_base import new_base
    from envbuild.rebase.rebase import rebase_image
    from envbuild.store.project import split_project
    from envbuild.store.store import Store
    from envbuild.store.tags import REBASE
    from envbuild.ui.reports.rebase import rebase_lines, rebase_plain
    from envbuild.ui.stream import Output

    interrupt_on_termination()
    output = Output(environment.stdout, environment.colour(environment.stdout))
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        store.sparse_limit = environment.sparse_limit()
        user = environment.user()  # in the namespace that is entered below it is root
        request = request_of_user(environment).replace(user=lambda: user)
        image = find_image(store, arguments.image)
        tag = arguments.tag or tag_beside(arguments.image, REBASED) or REBASED
        place, names = to_set(store, tag, ".")  # a name that can't be one is said before anything is made
        given = find_image(store, arguments.base) if arguments.base else None
        base = base_of(store, image, arguments.image, given)
        with display_of("auto", environment) as display:
            onto = new_base(store, arguments.onto, request, display)
        choices = choices_of(arguments)
        enter_for(store)
        stage = split_project(names[0][0])[1]
        done = rebase_image(
            store,
            image,
            stage,
            base,
            onto,
            choices,
            request,
            checked=not arguments.no_verify,
            keep=not arguments.dry_run,
        )
        write_if_asked(store, arguments, done.result.conflicts, environment)
        if done.is_good:
            assert done.finished is not None
            store.images.put(done.finished.image)
            if place.project is not None:
                store.projects.add(place.project)
            known = {"user": user, "source": arguments.image, "base": base.name, "to": onto.name}
            store.tags.move(names, done.finished.image.digest, REBASE, known)
        name, label = names[0]
        shown = f"{split_project(name)[1]}:{label or LATEST}"
    if arguments.format == "json":
        print_json({"tag": shown, **rebase_plain(done)}, environment.stdout)
    else:
        output.write_lines(list(rebase_lines(done, arguments.image, shown, output)))
    return 0 if done.is_good or (arguments.dry_run and not done.result.conflicts) else 1

"""Bringing a group up, as `up` does, and as `bisect --group` for the services that its test needs."""

from __future__ import annotations

from envbuild.cli.build_options import build, request_of_user
from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.compose.file.model import Group, Recipe, Service
    from envbuild.compose.reconcile import Decision
    from envbuild.store.store import Store
    from envbuild.ui.compose_display import GroupDisplay


def decide(
    store: Store,
    group: Group,
    services: Sequence[Service],
    environment: Environment,
    shown: GroupDisplay,
    *,
    build_recipes: bool = True,
    recreate: bool = False,
) -> tuple[Decision, ...]:
    """Return what is to be done, when all that can be known before anything starts is known to be well."""
    from envbuild.compose.images import find_images
    from envbuild.compose.instance_plan import plan_all
    from envbuild.compose.preflight import check_names, check_networks, check_volumes
    from envbuild.compose.reconcile import decide as decide_on

    def build_recipe(recipe: Recipe) -> None:
        request = request_of_user(environment)
        build(request.replace(path=recipe.path, settings=recipe.settings, epoch=environment.epoch()), environment)

    check_volumes(store, group, services)
    check_names(store, group, services)
    check_networks(services)
    builder = build_recipe if build_recipes else None
    images = find_images(store, group, services, builder, shown, environment.epoch())
    if (trust := environment.trust()) is not None:
        for image, reference in images.values():
            trust.check_image(store, image, reference, "run")
    store.share()
    plans = plan_all(store, group, services, images)
    return decide_on(store, group, plans, force=recreate)


def take_down(store: Store, group: Group, shown: GroupDisplay) -> None:
    """End a group, and remove its instances and volumes."""
    from envbuild.cli.user_namespace import enter_for
    from envbuild.compose.down import remove_members, remove_volumes
    from envbuild.compose.members import members
    from envbuild.compose.stop import stop_members

    in_group = members(Instances.of(store.path), group.name)
    stop_members(Instances.of(store.path), in_group, shown)
    enter_for(store)
    remove_members(store, in_group, shown)
    remove_volumes(store, group, shown)

"""Builds the wheel with two modules: one of a package that the build needs, one beside this."""

import helper_of_builds


def get_requires_for_build_wheel(config=None):
    return []


def build_wheel(folder, config=None, metadata=None):
    import wheels_of_own

    return wheels_of_own.make(folder, helper_of_builds.VERSION)

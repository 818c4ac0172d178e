"""The tests. What they reach is measured from here on, as nothing of envbuild is imported yet."""

import os

if os.environ.get("ENVBUILD_TESTS_COVERAGE"):
    from tests import measured

    measured.start()

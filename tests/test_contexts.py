"""contexts.contextmanager does what contextlib's does."""

import contextlib

import pytest

from envbuild import contexts

Both = pytest.mark.parametrize("contextmanager", [contexts.contextmanager, contextlib.contextmanager])


class Fault(Exception):
    pass


@Both
def test_the_block_stands_where_the_generator_yields(contextmanager):
    steps = []

    @contextmanager
    def numbers(first, *, last):
        """Yield a sum."""
        steps.append(first)
        yield first + last
        steps.append(last)

    with numbers(1, last=2) as value:
        steps.append(value)
    assert steps == [1, 3, 2]
    assert (numbers.__name__, numbers.__doc__) == ("numbers", "Yield a sum.")


@Both
@pytest.mark.parametrize("error", [Fault("x"), StopIteration(3), GeneratorExit(), KeyboardInterrupt()])
def test_an_error_of_the_block_goes_through_the_generator(contextmanager, error):
    seen = []

    @contextmanager
    def passing():
        try:
            yield
        except BaseException as fault:
            seen.append(fault)
            raise

    with pytest.raises(type(error)) as raised, passing():
        raise error
    assert raised.value is error
    assert seen == [error]
    assert [frame.name for frame in raised.traceback].count("passing") == 0


@Both
def test_a_generator_may_swallow_or_replace_an_error(contextmanager):
    @contextmanager
    def changing(other):
        try:
            yield
        except Fault:
            if other is not None:
                raise other from None

    with changing(None):
        raise Fault
    with pytest.raises(RuntimeError, match="other"), changing(RuntimeError("other")):
        raise Fault


@Both
@pytest.mark.parametrize("yields", [0, 2])
def test_a_generator_that_does_not_yield_once_is_a_mistake(contextmanager, yields):
    @contextmanager
    def wrong():
        yield from range(yields)

    with pytest.raises(RuntimeError), wrong():
        pass


@Both
def test_a_generator_that_yields_again_after_an_error_is_a_mistake(contextmanager):
    @contextmanager
    def wrong():
        try:
            yield
        except Fault:
            yield

    with pytest.raises(RuntimeError), wrong():
        raise Fault


BothStacks = pytest.mark.parametrize("stack", [contexts.ExitStack, contextlib.ExitStack])


@BothStacks
def test_a_stack_leaves_the_last_first(stack):
    steps = []

    @contexts.contextmanager
    def step(name):
        yield name
        steps.append(name)

    with stack() as held:
        assert held.enter_context(step("first")) == "first"
        held.callback(steps.append, "called")
        inner = held.enter_context(stack())
        inner.enter_context(step("inner"))
        inner.close()
        assert steps == ["inner"]
    assert steps == ["inner", "called", "first"]


@BothStacks
def test_a_stack_gives_what_it_holds_the_error_that_is_on_its_way(stack):
    seen = []

    @contexts.contextmanager
    def passing(then):
        try:
            yield
        except Exception as error:
            seen.append(error)
            if then is not None:
                raise then from None

    first, other = Fault("first"), ValueError("other")
    with stack() as held:
        held.enter_context(passing(None))  # swallows what the inner one makes of it
        held.enter_context(passing(other))
        raise first
    assert seen == [first, other]
    held = stack()
    held.callback(seen.clear)
    held.enter_context(passing(other))
    with pytest.raises(ValueError, match="other") as raised, held:
        raise first
    assert raised.value is other
    assert seen == []

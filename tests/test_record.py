"""Records and named tuples without dataclasses, typing and collections."""

import pickle

import pytest

from envbuild.record import NamedTuple


class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        return self.x + self.y


def test_a_named_tuple_is_a_tuple_with_names_and_defaults():
    point = Point(1)
    assert point == (1, 2)
    assert (point.x, point.y, point.sum) == (1, 2, 3)
    assert repr(Point(y=5, x=4)) == "Point(x=4, y=5)"
    assert Point.__doc__ == "A place."
    assert pickle.loads(pickle.dumps(point)) == point
    assert type(pickle.loads(pickle.dumps(point))) is Point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_a_named_tuple_is_replaced_and_never_changed():
    point = Point(1)
    assert point._replace(y=7) == Point(1, 7)
    with pytest.raises(TypeError):
        point._replace(z=1)
    with pytest.raises(AttributeError):
        point.x = 3
    with pytest.raises(AttributeError):
        point.z = 3
    with pytest.raises(TypeError):
        Point()
    with pytest.raises(TypeError):
        Point(1, 2, 3)

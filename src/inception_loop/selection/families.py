"""The two families of networks that a selection compares: nonlinear ones, and their linear controls."""

from __future__ import annotations

from typing import Literal, get_args

from inception_loop.network.cores import Core

Family = Literal["cnn", "linear"]
FAMILIES: tuple[Family, ...] = get_args(Family)


def family_of(core: Core) -> Family:
    """Return ``linear`` for a core without any nonlinearity, else ``cnn``.

    Examples
    --------
    >>> from inception_loop.network.cores import DepthSeparable, ModLinear
    >>> family_of(ModLinear()), family_of(DepthSeparable()), family_of(DepthSeparable(linear=True))
    ('linear', 'cnn', 'linear')
    """
    return "cnn" if core.nonlinear else "linear"


def core_types(family: Family) -> tuple[str, ...]:
    """Return the types of core that a family may have, by name; a core that may be either is in both.

    Examples
    --------
    >>> core_types("linear")  # doctest: +NORMALIZE_WHITESPACE
    ('DepthSeparable', 'Linear', 'LinearGaussianLaplace', 'LinearSigmoidLaplace', 'ModLinear',
     'StackedLinearGaussianLaplace')
    """
    cores = get_args(get_args(Core)[0])
    wanted = family == "cnn"
    # a property: one field of the configuration decides
    return tuple(
        sorted(c.__name__ for c in cores if isinstance(c.nonlinear, property) or c.nonlinear is wanted)
    )

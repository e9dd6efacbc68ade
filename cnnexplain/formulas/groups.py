"""Units that behave alike, by what each of them reached in many images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["unit_correlations", "unit_groups"]

ALIKE = 0.7  # the mean correlation from which two groups are one: half of the variance is shared


def unit_correlations(maxima: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pearson's correlation of every two units over images, as CNNVis compares neurons by their activations.

    Liu et al. 2017 (doi:10.1109/TVCG.2016.2598831), section 5.1; rounded to six digits, so that the order of a sum
    decides on nothing. Of M images, two units that have nothing in common correlate by 1 / sqrt(M) or so by chance.

    Args:
        maxima: What each unit reached in each image, (M, U).

    Returns:
        (U, U), from -1 to 1; zero wherever one of the two is the same in all images, as dead units are.

    Example:
        >>> import numpy as np
        >>> maxima = np.array([[1, 2, 9, 0], [2, 4, 8, 0], [3, 6, 7, 0]], np.float32)
        >>> unit_correlations(maxima)[0].tolist()
        [1.0, 1.0, -1.0, 0.0]
    """
    import numpy as np

    values = np.asarray(maxima, np.float64)
    constant = values.max(0) == values.min(0)
    values = np.where(constant, 0, values - values.mean(0))
    length = np.sqrt((values**2).sum(0))
    values /= np.where(constant, 1, length)
    correlations: NDArray[np.float64] = (values.T @ values).clip(-1, 1).round(6)
    return correlations.astype(np.float32)


def unit_groups(maxima: NDArray[np.float32], alike: float = ALIKE) -> NDArray[np.int64]:
    """Groups of units that fire in the same images: average linkage of their correlations, cut at `alike`.

    CNNVis (Liu et al. 2017, doi:10.1109/TVCG.2016.2598831) shows a layer as clusters of neurons with similar
    activations. Two groups become one as long as the mean correlation between their units is at least `alike`, the most
    alike first; the chain of nearest neighbours (Murtagh 1983 (doi:10.1093/comjnl/26.4.354)) finds them in time and
    memory that grow with the square of the units. Of equal correlations the lower unit's comes first.

    Args:
        maxima: What each unit reached in each image, (M, U). Below some 40 images chance alone makes groups.
        alike: The lowest mean correlation within which groups are joined, above 0.

    Returns:
        The number of each unit's group, (U,): 0 is the largest group, of equally large ones the one with the lowest
        unit; -1 for units that are alone, among them all that are the same in every image, as dead ones are.

    Example:
        >>> import numpy as np
        >>> maxima = np.array([[5, 0, 1, 10, 3], [1, 0, 7, 2, 3], [2, 0, 1, 4, 3]], np.float32)
        >>> unit_groups(maxima).tolist()
        [0, -1, -1, 0, -1]
    """
    import numpy as np

    likeness = unit_correlations(maxima)
    np.fill_diagonal(likeness, -np.inf)
    members = [[unit] for unit in range(len(likeness))]
    waiting = dict.fromkeys(range(len(members)))  # groups that may still grow, in order
    chain: list[int] = []
    while waiting:
        if not chain:
            chain.append(next(iter(waiting)))
        here = chain[-1]
        nearest = int(likeness[here].argmax())
        if len(chain) > 1 and likeness[here, chain[-2]] == likeness[here, nearest]:
            nearest = chain[-2]
        if likeness[here, nearest] < alike:  # nor will what others become be nearer than they are
            waiting.pop(here)
            likeness[:, here] = -np.inf
            chain.pop()
        elif nearest not in chain[-2:-1]:
            chain.append(nearest)
        else:
            del chain[-2:]
            first, second = sorted((here, nearest))
            sizes = np.array([len(members[first]), len(members[second])], np.float64)
            mean = (sizes / sizes.sum()) @ likeness[[first, second]]
            likeness[first], likeness[:, first] = mean, mean
            likeness[second], likeness[:, second] = -np.inf, -np.inf
            members[first] += members[second]
            members[second] = []
            waiting.pop(second)
    groups = sorted(
        (sorted(group) for group in members if len(group) > 1), key=lambda group: (-len(group), group)
    )
    numbers = np.full(len(members), -1)
    for number, group in enumerate(groups):
        numbers[group] = number
    return numbers

"""Which of one set belongs to which of another, so that the whole costs least."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["assignment"]


def assignment(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """A column for every row, each column once, so that the sum of the costs is the smallest there is.

    Exact, by shortest augmenting paths after a first greedy round: Jonker & Volgenant 1987 (doi:10.1007/BF02278710).

    Args:
        cost: (N, N), finite: what it costs to give a row a column.

    Returns:
        (N,): the column of each row.

    Example:
        >>> import numpy as np
        >>> assignment(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])).tolist()
        [1, 0, 2]
    """
    import numpy as np

    cost = np.asarray(cost, np.float64)
    count = len(cost)
    down = cost.min(0) if count else np.zeros(0)  # prices of columns, then of rows
    left = cost - down
    across = left.min(1) if count else np.zeros(0)
    row_of, column_of = np.full(count, -1, np.intp), np.full(count, -1, np.intp)
    for row, column in enumerate(left.argmin(1) if count else ()):
        if row_of[column] < 0:
            row_of[column], column_of[row] = row, column
    for start in np.flatnonzero(column_of < 0):
        _augment(cost, across, down, row_of, column_of, int(start))
    return column_of


def _augment(
    cost: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    row_of: NDArray[np.intp],
    column_of: NDArray[np.intp],
    start: int,
) -> None:
    """Give one more row a column, along the cheapest path, and settle the prices."""
    import numpy as np

    distance = np.full(len(cost), np.inf)
    before = np.full(len(cost), start, np.intp)  # the row from which a column is reached
    open_columns = np.ones(len(cost), bool)
    row, reached, seen = start, 0.0, []
    while True:
        onward = reached + (cost[row] - across[row] - down)
        nearer = open_columns & (onward < distance)
        distance[nearer], before[nearer] = onward[nearer], row
        column = int(np.where(open_columns, distance, np.inf).argmin())
        reached = distance[column]
        open_columns[column] = False
        if row_of[column] < 0:
            break
        seen.append(column)
        row = int(row_of[column])
    across[start] += reached
    if seen:
        passed = np.array(seen)
        across[row_of[passed]] += reached - distance[passed]
        down[passed] -= reached - distance[passed]
    while True:
        row = int(before[column])
        row_of[column] = row
        column_of[row], column = column, int(column_of[row])
        if row == start:
            return

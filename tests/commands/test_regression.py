"""Values at some places out of those at others."""

from __future__ import annotations

import pytest
import torch

from cnnexplain.formulas import kriging, regression


def test_kriging_is_scikit_learns_gaussian_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    torch.manual_seed(8)
    places = torch.rand(60, 2, dtype=torch.float64)
    values = (4 * places).sin().sum(1) + 0.01 * torch.randn(60, dtype=torch.float64)
    known = torch.rand(60) < 0.6
    monkeypatch.setattr(regression, "LENGTHS", (1.0,))
    monkeypatch.setattr(regression, "NUGGETS", (0.1,))
    expected, covariance = kriging(places, values, known)
    middle = float(torch.pdist(places[known]).median())
    kernel = RBF(middle, "fixed") + WhiteKernel(0.1, "fixed")
    among = torch.from_numpy(kernel(places[known].numpy()))
    weights = torch.linalg.solve(among, torch.ones(len(among), dtype=torch.float64))
    mean = float(weights @ values[known] / weights.sum())
    peer = GaussianProcessRegressor(kernel, alpha=0).fit(places[known], values[known] - mean)
    theirs, their_covariance = peer.predict(places[~known], return_cov=True)
    least, most = values[known].min(), values[known].max()
    within = (expected > least) & (expected < most)
    assert int(within.sum()) > 10
    assert bool(((expected >= least) & (expected <= most)).all())
    torch.testing.assert_close(expected[within], mean + torch.from_numpy(theirs)[within], rtol=0, atol=0.02)
    scale = covariance.diagonal() / torch.from_numpy(their_covariance).diagonal()
    torch.testing.assert_close(scale, scale[:1].expand_as(scale), rtol=0.02, atol=0)


def test_errors_are_as_large_as_they_are_held_to_be() -> None:
    torch.manual_seed(8)
    places = torch.rand(80, 2, dtype=torch.float64)
    values = (4 * places).sin().sum(1) + 0.05 * torch.randn(80, dtype=torch.float64)
    known = torch.rand(80) < 0.6
    expected, covariance = kriging(places, values, known)
    off = expected - values[~known]
    assert float(off.abs().max()) < 0.3
    assert 0.2 < float((off**2 / covariance.diagonal()).mean()) < 5


def test_values_that_are_all_the_same_are_sure() -> None:
    known = torch.arange(5) < 3
    for places in (torch.rand(5, 3), torch.zeros(5, 3)):
        expected, covariance = kriging(places, torch.ones(5), known)
        torch.testing.assert_close(expected, torch.ones(2, dtype=torch.float64))
        assert float(covariance.abs().max()) < 1e-20

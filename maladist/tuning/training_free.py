"""Measures that rank networks and descriptors without training, and orthogonal arrays to try few of many combinations.

After L. Fiedler et al., Mach. Learn.: Sci. Technol. 3, 045008 (2022), doi:10.1088/2632-2153/ac9956, who find them two
orders of magnitude cheaper than training. Each function cites the formula that it computes.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.special import digamma

from maladist.arrays import Array, Floats, Indices
from maladist.errors import InputError
from maladist.learning.network import FeedForward

_RIDGE = 1e-5


def naswot(network: FeedForward, x: torch.Tensor) -> float:
    """Logarithm of the determinant of the kernel of Hamming distances of activation patterns; larger is better.

    Each of N points switches the network's hidden units on or off, a binary code of N_A bits. K_ij is the number of
    bits in which the codes of points i and j agree, N_A − d_H(c_i, c_j), and the score log |det K|: large where an
    untrained network tells the points apart [1]_. The rank of K is at most N_A + 1, less than the points that a small
    network is shown; so 1e-5 is added to its diagonal, and what a network cannot tell apart costs it log 1e-5 each.

    A bit is the sign of a unit's input, which for ReLU is whether the unit is on. Other activations are not piecewise
    linear; the sign of the input is taken all the same, since each of ours bends, or crosses zero, there. Units without
    an activation (None, Identity) have no pattern and do not count.

    Parameters
    ----------
    network
        Network as it is initialised; dropout is not applied.
    x
        Scaled descriptors, (N, features).

    Returns
    -------
    float
        The score; −inf where the network has no hidden activation.

    References
    ----------
    .. [1] J. Mellor, J. Turner, A. Storkey, E. J. Crowley, Proc. 38th ICML, PMLR 139, 7588 (2021), eq. (2) and score.
    """
    codes = _codes(network, x)
    # Bits that agree: both on, or both off.
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    if not kernel.any():
        return -np.inf
    return float(torch.linalg.slogdet(kernel + _RIDGE * torch.eye(len(kernel), dtype=kernel.dtype)).logabsdet)


def _codes(network: FeedForward, x: torch.Tensor) -> torch.Tensor:
    """Which hidden units each point switches on, (N, units) float64 of 0 and 1."""
    codes: list[torch.Tensor] = [torch.zeros(len(x), 0, dtype=torch.float64)]
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: codes.append((given[0] > 0).double().cpu()))
        for layer in list(network.activation)[:-1]
        if not isinstance(layer, torch.nn.Identity)
    ]
    # Dropout would draw other units at each point; the caller's network is put back as it was.
    was = network.training
    try:
        with torch.no_grad():
            network.eval()(x)
    finally:
        network.train(was)
        for hook in hooks:
            hook.remove()
    return torch.cat(codes, 1)


def jacobian_score(network: FeedForward, x: torch.Tensor) -> float:
    """How little the gradients of an untrained network at different points have in common; larger is better.

    With J_i = ∂(Σ outputs)/∂x at point i and σ the eigenvalues of the correlation matrix of the J_i, the score is
    −Σ_i [log(σ_i + k) + 1/(σ_i + k)], k = 1e-5 [1]_. This is the form that Fiedler et al. use; unlike `naswot` it
    asks nothing of the activations. The correlation matrix has at most as many eigenvalues above zero as there are
    features: with more points than that the score mostly counts them.

    Parameters
    ----------
    network
        Network as it is initialised; dropout is not applied.
    x
        Scaled descriptors, (N, features).

    References
    ----------
    .. [1] J. Mellor, J. Turner, A. Storkey, E. J. Crowley, arXiv:2006.04647v1 (2020).
    """
    was = network.training
    given = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network.eval()(given).sum(), given)
    network.train(was)
    jacobian = gradient.double() - gradient.double().mean(1, keepdim=True)
    norm = jacobian.norm(dim=1, keepdim=True)
    # A point at which nothing changes the outputs has no correlation with any other.
    if not bool((norm > 0).all()):
        return -np.inf
    jacobian = jacobian / norm
    sigma = torch.linalg.eigvalsh(jacobian @ jacobian.T).clamp(min=0) + _RIDGE
    return float(-(sigma.log() + 1 / sigma).sum())


def acsd(descriptors: Floats, ldos: Floats) -> float:
    """Average cosine similarity distance; smaller is better.

    Descriptors that are alike where the LDOS is not cannot be learnt from. With the cosine similarity
    S(a, b) = a·b / (|a| |b|), ACSD is the mean over pairs of points of max(0, S(B_i, B_j) − S(d_i, d_j)): how far
    pairs lie on the wrong side of the line S(B) = S(d) [1]_. Pairs of a point with itself are left out.

    Parameters
    ----------
    descriptors, ldos
        Descriptors and LDOS, (N, features) and (N, levels), not scaled: taking a mean off changes the angles.

    Raises
    ------
    InputError
        Fewer than two points, or different numbers of them.

    References
    ----------
    .. [1] L. Fiedler et al., Mach. Learn.: Sci. Technol. 3, 045008 (2022).
    """
    _check_rows(descriptors, ldos, 2)
    excess = np.maximum(_cosines(descriptors) - _cosines(ldos), 0)
    n = len(excess)
    return float((excess.sum() - np.trace(excess)) / (n * (n - 1)))


def _cosines(rows: Floats) -> Array:
    unit = rows.astype(np.float64)
    # A point without neighbours has descriptors of length zero: similar to nothing.
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(unit @ unit.T)


def mutual_information(descriptors: Floats, ldos: Floats, *, components: int = 4, neighbours: int = 3) -> float:
    """Mutual information of descriptors and LDOS, nats; larger is better.

    The first estimator of Kraskov et al. [1]_, ψ(k) + ψ(N) − ⟨ψ(n_x + 1) + ψ(n_y + 1)⟩, n_x and n_y the numbers of
    points nearer in one of the spaces, by the maximum norm, than the k-th neighbour is in both together. It needs few
    dimensions: of both sides, each feature standardised, the leading principal components are kept, each scaled to unit
    variance. What lies in the others is not counted.

    Parameters
    ----------
    descriptors, ldos
        Descriptors and LDOS, (N, features) and (N, levels).
    components
        Number of principal components of each side, fewer where there are fewer with any variance.
    neighbours
        Number k of neighbours that set the scale of a point.

    Raises
    ------
    InputError
        There are no more points than neighbours, the numbers of points differ, or nothing varies.

    References
    ----------
    .. [1] A. Kraskov, H. Stögbauer, P. Grassberger, Phys. Rev. E 69, 066138 (2004), eq. (8).
    """
    _check_rows(descriptors, ldos, neighbours + 2)
    x, y = (principal(rows, components) for rows in (descriptors, ldos))
    if not (x.shape[1] and y.shape[1]):
        raise InputError("descriptors and ldos", "values that do not vary", "more than one value")
    distance, _ = cKDTree(np.hstack([x, y])).query(x_y := np.hstack([x, y]), k=neighbours + 1, p=np.inf)
    # Strictly nearer than the k-th neighbour, as eq. (8) counts; the tree counts what is at the distance too.
    radius = np.nextafter(distance[:, -1], 0)
    counts = (cKDTree(side).query_ball_point(side, radius, p=np.inf, return_length=True) for side in (x, y))
    means = sum(float(digamma(n).mean()) for n in counts)  # the point itself is the + 1
    return float(digamma(neighbours) + digamma(len(x_y)) - means)


def principal(rows: Floats, components: int) -> Array:
    """Leading principal components of standardised features, each of unit variance, (N, ≤ components)."""
    values = rows.astype(np.float64)
    centred = values - values.mean(0)
    deviation = centred.std(0)
    # A constant column has a deviation of rounding only, which standardised would be noise of unit variance.
    varies = deviation > 1e-12 * np.abs(values).max(0)
    u, s, _ = np.linalg.svd(centred[:, varies] / deviation[varies], full_matrices=False)
    # Components of rounding would have unit variance like all others, and be counted as information.
    kept = min(components, int((s > 1e-6 * s[0]).sum())) if len(s) else 0
    return np.asarray(u[:, :kept] * np.sqrt(len(rows)))


def _check_rows(descriptors: Floats, ldos: Floats, least: int) -> None:
    if len(descriptors) != len(ldos) or len(ldos) < least:
        came = f"{len(descriptors)} and {len(ldos)} points"
        raise InputError("descriptors and ldos", came, f"as many of both, {least} or more")


def orthogonal_array(levels: list[int]) -> Indices:
    """Runs of an experiment in which every two factors meet in all their combinations, (runs, factors).

    For s levels, s prime, Rao and Hamming's array: the runs are the vectors u of GF(s)^n, the columns c those whose
    first entry that is not zero is 1, an element is u·c mod s. These are s^n runs for up to (s^n − 1)/(s − 1) factors,
    and any two columns hold each pair of levels equally often [1]_. Here s is the least prime that is not below the
    largest number of levels. A factor with fewer levels takes its level modulo their number: some of its levels are
    then tried more often, but independently of every other factor, so that means by level remain without bias.

    Parameters
    ----------
    levels
        Number of levels of each factor, at least 2.

    Raises
    ------
    InputError
        No factors, or one with fewer than two levels.

    References
    ----------
    .. [1] A. S. Hedayat, N. J. A. Sloane, J. Stufken, Orthogonal Arrays (Springer, 1999), theorem 3.20. For tuning:
       X. Zhang et al., IEEE Int. Conf. on Data Mining Workshops (2019); Fiedler et al. as above.
    """
    if not levels or min(levels) < 2:
        raise InputError("levels", f"{levels}", "factors of two or more levels")
    s = max(levels)
    # The levels must form a field for any two columns to be independent; whole numbers modulo a prime do.
    while any(s % p == 0 for p in range(2, s)):
        s += 1
    # Vectors of two entries at least: with one there would be no two factors.
    n = 2
    while (s**n - 1) // (s - 1) < len(levels):
        n += 1
    runs = np.array(list(product(range(s), repeat=n)))
    columns = [c for c in runs if c.any() and c[c.nonzero()[0][0]] == 1]
    return np.asarray(runs @ np.array(columns[: len(levels)]).T % s % np.array(levels))

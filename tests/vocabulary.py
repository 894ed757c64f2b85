"""Random models from the whole vocabulary, for property tests."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

import hierrl as hr

few_examples = settings(deadline=None, max_examples=60, derandomize=True)


def some(*values):
    return st.sampled_from(values)


SIGNS = ("sign(reward)", "reward>=0", "reward<0")
PARTS = ("reward+", "reward-")


@st.composite
def channels(draw, k: int) -> hr.Channel:
    """A channel whose parameters carry the number `k`, drawn from the whole vocabulary."""
    if draw(st.integers(0, 3)) == 0:
        return draw(learners(k))
    signal = draw(some("reward", "gain", "loss", "choice", "forgone", "points", *SIGNS, *PARTS))
    by_signal = {
        "choice": some("hold", "decay"),
        "forgone": st.just("hold"),
        "reward": some("hold", "decay", "mirror", "fictive", "forgone"),
    }
    unchosen = draw(by_signal.get(signal, some("hold", "decay", "mirror", "fictive")))
    update = draw(some("delta", "accumulate"))
    by_reward = draw(st.booleans()) and signal in ("reward", *SIGNS, *PARTS)
    may_split = update == "delta" or by_reward
    pairs = [(f"up{k}", f"down{k}"), (0.4, f"down{k}"), (f"up{k}", 0.1)] if may_split else []
    outcome = signal in ("reward", "gain", "loss", "forgone", *PARTS)
    return hr.Channel(
        signal,
        rate=draw(some(f"alpha{k}", "alpha", 0.3, 1.0, *pairs)),
        weight=draw(weights(k)),
        unchosen=unchosen,
        decay=draw(some(None, f"decay{k}", 0.2)) if unchosen == "decay" else None,
        start=draw(some(0.0, 1.0, -2.5, f"start{k}")),
        signed=draw(st.booleans()),
        update=update,
        context=draw(some(None, None, "context")),
        rate_by="reward" if by_reward else "error",
        utility=draw(some(None, None, f"rho{k}", "rho", 0.5)) if outcome else None,
    )


def weights(k: int):
    """Weights whose names carry the number `k`."""
    return some(f"beta{k}", f"-beta{k}*lambda", f"2*beta{k}", f"beta{k}*lambda*phi{k}")


@st.composite
def learners(draw, k: int) -> hr.Channel:
    """A channel whose rate is a state."""
    name = draw(some("kalman", "pearce_hall", "ewa"))
    shapes = {
        "kalman": {
            "decay": draw(some(0.0, 0.1, f"decay{k}")),
            "centre": draw(some(0.0, 3.0, f"centre{k}", f"start{k}")),
            "sd_start": draw(some(2.0, f"sd{k}")),
            "sd_drift": draw(some(0.5, f"sd{k}", f"sd_drift{k}")),
        },
        "pearce_hall": {
            "eta": draw(some(0.3, f"eta{k}")),
            "associability": draw(some(1.0, f"eta{k}", f"first{k}")),
        },
        "ewa": {"phi": draw(some(0.7, f"fade{k}")), "rho": draw(some(0.4, f"fade{k}", f"rest{k}"))},
    }
    return hr.Channel(
        draw(some("reward", "gain", "loss", "points", "reward+", "sign(reward)")),
        rate=draw(some(f"alpha{k}", "alpha", 0.3)) if name == "pearce_hall" else "alpha",
        weight=draw(weights(k)),
        start=draw(some(0.0, 1.0, f"start{k}")),
        signed=draw(st.booleans()),
        context=draw(some(None, None, "context")),
        learner=name,
        shape=shapes[name],
    )


@st.composite
def models(draw) -> hr.Model:
    """One to three channels, all per arm or none, with any of the options around them."""
    n_channels, per_arm = draw(st.integers(1, 3)), draw(st.booleans())
    parts = [draw(channels(k)) for k in range(n_channels)]
    return hr.Model(
        channels=tuple(hr.Channel(**{**vars(part), "per_arm": per_arm}) for part in parts),
        regressors=draw(some((), (hr.Regressor("mood"),), (hr.Regressor("mood"), hr.Regressor("side")))),
        bias=draw(st.booleans()),
        lapse=draw(st.booleans()),
        missed=draw(some("hold", "decay")),
    )


def has_learner(model: hr.Model) -> bool:
    """Whether a channel's rate is a state, which no relaxation encloses."""
    return any(channel.learner != "delta" for channel in model.channels)


seeds = st.integers(0, 10_000)
numbers_of_arms = some(2, 4, 10)

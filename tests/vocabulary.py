"""Random models from the whole vocabulary, for property tests."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

import hierrl as hr

few_examples = settings(deadline=None, max_examples=60, derandomize=True)


def some(*values):
    return st.sampled_from(values)


@st.composite
def channels(draw, k: int) -> hr.Channel:
    """A channel whose parameters carry the number `k`, drawn from the whole vocabulary."""
    signal = draw(some("reward", "gain", "loss", "choice", "forgone", "points"))
    by_signal = {
        "choice": some("hold", "decay"),
        "forgone": st.just("hold"),
        "reward": some("hold", "decay", "mirror", "forgone"),
    }
    unchosen = draw(by_signal.get(signal, some("hold", "decay", "mirror")))
    update = draw(some("delta", "accumulate"))
    pairs = [(f"up{k}", f"down{k}"), (0.4, f"down{k}"), (f"up{k}", 0.1)] if update == "delta" else []
    return hr.Channel(
        signal,
        rate=draw(some(f"alpha{k}", "alpha", 0.3, 1.0, *pairs)),
        weight=draw(some(f"beta{k}", f"-beta{k}*lambda", f"2*beta{k}", f"beta{k}*lambda*phi{k}")),
        unchosen=unchosen,
        decay=draw(some(None, f"decay{k}", 0.2)) if unchosen == "decay" else None,
        start=draw(some(0.0, 1.0, -2.5, f"start{k}")),
        signed=draw(st.booleans()),
        update=update,
        context=draw(some(None, None, "context")),
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


seeds = st.integers(0, 10_000)
numbers_of_arms = some(2, 4, 10)

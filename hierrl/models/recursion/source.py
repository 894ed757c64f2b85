"""The loops over trials of one recursion, as Python for numba. Text only: `hierrl.kernels` compiles it.

State and slopes are local variables: nothing is stored from trial to trial, and nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from hierrl.models.recursion.code import ZERO, is_literal
from hierrl.models.recursion.unrolled import Unrolled, first, second

MOST_SECOND_DERIVATIVES = 400
"""Of the state: with more, second derivatives are differences of gradients."""

TRIALS = "offset, choice, reset, scored, learns, available, inputs, context"
"""Arrays of a `hierrl.kernels.recursion.RowsOfTrials`."""

HEAD = '''"""Written by hierrl.models.recursion.source, to be compiled."""

import math

import numpy as np
from numba import carray

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT
from hierrl.kernels.select import select
from hierrl.kernels.simulate import change_places, pick
'''

SUBJECTS = """
@njit(**JIT)
def pass_{order}(subjects, theta, {trials}, value, gradient, hessian):
    for s in subjects:
        value[s] = subject_{order}(s, theta[s], {trials}, {results})
"""

POINTS = """
@njit(**JIT)
def points_pass(subjects, theta, {trials}, loglik):
    at = np.empty(theta.shape[0])
    for k in range(subjects.size):
        for j in range(theta.shape[2]):
            for a in range(at.size):
                at[a] = theta[a, k, j]
            loglik[subjects[k], j] = subject_0(subjects[k], at, {trials}, at, at)


@njit(**JIT)
def trial_pass(subjects, theta, {trials}, state, probability, loglik):
    for s in subjects:
        subject_trials(s, theta[s], {trials}, state, probability, loglik)


@njit(**JIT)
def draws_pass(subjects, theta, {trials}, state, probability, loglik):
    for s in subjects:
        for d in range(theta.shape[0]):
            subject_trials(s, theta[d, s], {trials}, state, probability, loglik[d])
"""

IN_C = """
@njit(**JIT)
def gradient_in_c_{key}(sizes, {trials}, theta, value, gradient):
    z = carray(sizes, (7,))
    offset_, choice_, reset_ = carray(offset, (z[0] + 1,)), carray(choice, (z[2],)), carray(reset, (z[2],))
    scored_, learns_ = carray(scored, (z[2],)), carray(learns, (z[2],))
    available_, inputs_ = carray(available, (z[3], z[4])), carray(inputs, (z[5], z[2]))
    context_ = carray(context, (z[6],))
    by_scalar = (z[0], z[1])
    at, out, slope = carray(theta, by_scalar), carray(value, (z[0],)), carray(gradient, by_scalar)
    for s in range(z[0]):
        out[s] = subject_1(s, at[s], offset_, choice_, reset_, scored_, learns_, available_, inputs_, context_,
                           slope[s], slope)
    return 0


@njit(**JIT)
def probability_in_c_{key}(sizes, {trials}, theta, p, loglik):
    z = carray(sizes, (7,))
    offset_, choice_, reset_ = carray(offset, (z[0] + 1,)), carray(choice, (z[2],)), carray(reset, (z[2],))
    scored_, learns_ = carray(scored, (z[2],)), carray(learns, (z[2],))
    available_, inputs_ = carray(available, (z[3], z[4])), carray(inputs, (z[5], z[2]))
    context_ = carray(context, (z[6],))
    at, state = carray(theta, (z[0], z[1])), np.empty(({states}, z[2]))
    for s in range(z[0]):
        subject_trials(s, at[s], offset_, choice_, reset_, scored_, learns_, available_, inputs_, context_, state,
                       carray(p, (z[3], z[2])), carray(loglik, (z[2],)))
    return 0
"""


def source_of(unrolled: Unrolled) -> str:
    """Source of all loops of a recursion; names of what C calls end with a key of their own."""
    writer = Writer(unrolled)
    orders = (0, 1, 2) if writer.bends else (0, 1)
    parts = [writer.subject(order) for order in orders]
    # The value's own loop needs no arrays for derivatives, and a row is one where they are.
    results = {0: "theta[s], theta[s]", 1: "gradient[s], gradient", 2: "gradient[s], hessian[s]"}
    parts += [SUBJECTS.format(order=order, trials=TRIALS, results=results[order]) for order in orders]
    parts += [writer.subject_trials(), POINTS.format(trials=TRIALS), writer.play()]
    text = "\n".join([HEAD, *parts])
    key = sha256(text.encode()).hexdigest()[:12]
    return text + IN_C.format(key=key, trials=TRIALS, states=len(unrolled.state))


class Writer:
    """Writes the loop over a subject's trials."""

    def __init__(self, unrolled: Unrolled):
        self.u = unrolled
        self.arms = range(len(unrolled.logits))
        self.each = range(unrolled.n_parameters)
        self.by_context = any(name == "since" for _, name, _ in unrolled.inputs)
        self.bends = len(unrolled.state) * len(unrolled.pairs) <= MOST_SECOND_DERIVATIVES

    def subject(self, order: int) -> str:
        """Log-likelihood of a subject, its gradient into a vector and its Hessian into a matrix."""
        u, lines = self.u, [f"def subject_{order}(s, theta, {TRIALS}, gradient, hessian):"]
        sums = ["value"]
        if order > 0:
            sums += [f"g{p}" for p in self.each]
        if order > 1:
            sums += [f"h{p}_{q}" for p, q in u.pairs]
        body = [*self.begin(order), *(f"{name} = 0.0" for name in sums)]
        body += ["for t in range(offset[s], offset[s + 1]):"]
        loop = [
            *self.reset(order),
            *self.recall(order),
            *self.read("t"),
            "if scored[t]:",
            *_in(self.score(order)),
        ]
        loop += ["if learns[t]:", *_in(self.learn(order))]
        body += _in(loop)
        if order > 0:
            body += [f"gradient[{p}] = g{p}" for p in self.each]
        if order > 1:
            body += [f"hessian[{p}, {q}] = hessian[{q}, {p}] = h{p}_{q}" for p, q in u.pairs]
        return "\n".join(["", "@njit(**INNER)", *lines, *_in([*body, "return value"]), ""])

    def subject_trials(self) -> str:
        """State (K, n) and probabilities (m, n) before each trial, log-probability (n,) of scored choices."""
        head = f"def subject_trials(s, theta, {TRIALS}, state, probability, loglik):"
        loop = [*self.reset(0), *self.recall(0), *self.read("t"), *self.softmax(0)]
        loop += [f"state[{k}, t] = {name}" for k, name in enumerate(self.u.state)]
        loop += [f"probability[{i}, t] = y{i} / total" for i in self.arms]
        loop += [f"loglik[t] = {self.of_chosen()} - top - np.log(total) if scored[t] else np.nan"]
        loop += ["if learns[t]:", *_in(self.learn(0))]
        body = [*self.begin(0), "for t in range(offset[s], offset[s + 1]):", *_in(loop)]
        return "\n".join(["", "@njit(**INNER)", head, *_in(body), ""])

    def play(self) -> str:
        """Choices of an index array of subjects in a task; arrays as in `hierrl.kernels.simulate`.

        ``outcome`` (inputs, places, n) is what each input is if the arm in a place is chosen.
        """
        m = len(self.arms)
        head = (
            "def play(subjects, thetas, offset, reset, available, context, outcome, missed, forced, uniform, best,"
            " turn, streak, by_card, updates, made, place):"
        )
        outcomes = [
            f"{operand} = outcome[{row}, {f'here[{arm}], t' if arm >= 0 else 'here[ch] if ch >= 0 else 0, at'}]"
            for row, (operand, name, arm) in enumerate(self.u.inputs)
            if name in (*PAID, "forgone")
        ]
        known = [
            f"{operand} == {operand}" for operand, name, arm in self.u.inputs if name in PAID and arm < 0
        ]
        forgone = [(operand, arm) for operand, name, arm in self.u.inputs if name == "forgone"]
        known += [f"(ch == {arm} or {operand} == {operand})" for operand, arm in forgone]
        told = [operand for operand, name, _ in self.u.inputs if name == "known"][0]
        paid = [operand for operand, name, _ in self.u.inputs if name in (*PAID, "forgone")]
        after = [
            *(f"h{i} = (ch == {i}) * 1.0" for i in self.arms),
            "c = float(ch)",
            # what is drawn like cards stands one after the other from the session's first row on
            "at = opened + taken[here[ch]] if by_card and ch >= 0 else t",
            "if ch >= 0:",
            "    taken[here[ch]] += 1",
            *outcomes,
            f"is_known = ch >= 0 and {' and '.join(known)}",
            f"{told} = 1.0 if is_known else 0.0",
            "if not is_known:",
            *_in([f"{operand} = 0.0" for operand in paid]),
            *(f"{operand} = 0.0 if ch == {arm} else {operand}" for operand, arm in forgone),
            "if is_known or updates == 2 or (updates == 1 and ch >= 0):",
            *_in([*self.learn(0), *(["last[g] = t"] if self.by_context else [])]),
        ]
        since = [operand for operand, name, _ in self.u.inputs if name == "since"]
        loop = [
            "if reset[t]:",
            *_in(["run, opened = 0, t", "for i in range(here.size):"]),
            *_in(["    here[i] = i", "    taken[i] = 0", *self.starts(0)]),
            *_in(["last[:] = -1"] if self.by_context else []),
            *self.recall(0),
            "ch = -1 if missed[t] else forced[t]",
            # Columns are those of arms, wherever these are; outcomes are read anew once the choice is made.
            *(
                f"{operand} = outcome[{row}, {max(arm, 0)}, t]"
                for row, (operand, _, arm) in enumerate(self.u.inputs)
            ),
            *(f"{operand} = t - last[g] if last[g] >= 0 else 0.0" for operand in since),
            *(f"a{i} = 1.0 if available.shape[1] == 0 else available[{i}, t] * 1.0" for i in self.arms),
            "if ch < 0 and not missed[t]:",
            *_in(self.softmax(0)),
            *_in([f"p[{i}, 0] = y{i} / total" for i in self.arms]),
            "    ch = pick(p, available[:, t : t + 1], 0.0, uniform[t])",
            "made[t] = ch",
            *(f"place[t, {i}] = here[{i}]" for i in self.arms),
            *after,
            "if ch >= 0 and streak[0] > 0:",
            "    run = run + 1 if here[ch] == best[t] else 0",
            "    if run == streak[0]:",
            "        run = change_places(here, turn[t], place[t])",
        ]
        body = [
            f"p, here, run = np.empty(({m}, 1)), np.arange({m}), 0",
            f"opened, taken = 0, np.zeros({m}, dtype=np.int64)",
            "for s in subjects:",
            "    theta = thetas[s]",
            *_in([*self.begin(0), *(["last = np.full(n_contexts, -1)"] if self.by_context else [])]),
            *_in(["for t in range(offset[s], offset[s + 1]):", *_in(loop)]),
        ]
        return "\n".join(["", "@njit(**JIT)", head, *_in(body), ""])

    def begin(self, order: int) -> list[str]:
        """Parameters as local variables; the state has to exist before the loop."""
        lines = [f"p{p} = theta[{p}]" for p in self.each]
        names = (*self.u.state, *self.slopes(order))
        if self.by_context:
            lines += ["n_contexts = 1", "for t in range(offset[s], offset[s + 1]):"]
            lines += [
                "    n_contexts = max(n_contexts, context[t] + 1)",
                f"memory = np.zeros(({len(names)}, n_contexts))",
            ]
        return lines + [f"{name} = 0.0" for name in names]

    def recall(self, order: int) -> list[str]:
        """The state in the trial's context."""
        if not self.by_context:
            return []
        names = (*self.u.state, *self.slopes(order))
        return ["g = context[t]", *(f"{name} = memory[{k}, g]" for k, name in enumerate(names))]

    def keep(self, order: int) -> list[str]:
        """Remember the state in the trial's context."""
        names = (*self.u.state, *self.slopes(order)) if self.by_context else ()
        return [f"memory[{k}, g] = {name}" for k, name in enumerate(names)]

    def slopes(self, order: int) -> list[str]:
        """Names of the slopes that go from trial to trial."""
        names = [first(k, p) for k, p in sorted(self.u.moving)] if order > 0 else []
        return names + ([second(*at) for at in sorted(self.u.bending)] if order > 1 else [])

    def reset(self, order: int) -> list[str]:
        """The start of a session."""
        return ["if reset[t]:", *_in(self.starts(order))]

    def starts(self, order: int) -> list[str]:
        """The state at the start of a session, and its slopes: 1 in the parameter that it starts at, else 0."""
        u = self.u
        lines = [f"{name} = {start}" for name, start in zip(u.state, u.start, strict=True)]
        own = {first(k, p) for k, p in u.moving if u.start[k] == f"p{p}"} if order > 0 else set()
        lines += [f"{name} = {1.0 if name in own else 0.0}" for name in self.slopes(order)]
        if self.by_context:
            lines += ["for g in range(n_contexts):", *_in(self.keep(order))]
        return lines

    def read(self, t: str) -> list[str]:
        """What is known of a trial."""
        lines = [f"ch = choice[{t}]", "c = float(ch)"]
        for i in self.arms:
            lines += [f"h{i} = (ch == {i}) * 1.0"]
            lines += [f"a{i} = 1.0 if available.shape[1] == 0 else available[{i}, {t}] * 1.0"]
        return lines + [f"{operand} = inputs[{j}, {t}]" for j, (operand, _, _) in enumerate(self.u.inputs)]

    def softmax(self, order: int) -> list[str]:
        """Logits ``x``, their exponentials ``y`` (0 for arms that are not shown), largest and sum."""
        lines = [*self.u.code.lines(self.u.logits)] if order == 0 else []
        lines += [f"x{i}_ = {x}" for i, x in enumerate(self.u.logits)]
        lines += [f"z{i} = select(a{i} != 0.0, x{i}_, -np.inf)" for i in self.arms]
        lines += ["top = z0", *(f"top = select(z{i} > top, z{i}, top)" for i in self.arms[1:])]
        lines += [f"y{i} = math.exp(z{i} - top)" for i in self.arms]
        return [*lines, f"total = {' + '.join(f'y{i}' for i in self.arms)}"]

    def of_chosen(self) -> str:
        """The chosen arm's logit."""
        text = f"x{self.arms[-1]}_"
        for i in reversed(self.arms[:-1]):
            text = f"select(ch == {i}, x{i}_, {text})"
        return text

    def score(self, order: int) -> list[str]:
        """Add a trial's log-likelihood and its derivatives to the sums."""
        code = self.u.coded(self.u.moving, self.u.bending if order > 1 else frozenset())
        slopes = [[code.slope(x, p) for p in self.each] if order > 0 else [] for x in self.u.logits]
        bends = [[code.slope(row[p], q) for p, q in self.u.pairs] if order > 1 else [] for row in slopes]
        lines = code.lines([*self.u.logits, *_flat(slopes), *_flat(bends)]) if order > 0 else []
        lines += [*self.softmax(order), f"value += {self.of_chosen()} - top - np.log(total)"]
        if order == 0:
            return lines
        lines += ["over = 1.0 / total"]
        for i in self.arms:
            lines += [f"y{i} *= over", f"r{i} = h{i} - y{i}"]
        for p in self.each:
            lines += _added(f"g{p}", [(f"r{i}", slopes[i][p]) for i in self.arms])
        if order == 1:
            return lines
        for p in self.each:
            lines += [f"m{p} = 0.0", *_added(f"m{p}", [(f"y{i}", slopes[i][p]) for i in self.arms])]
        for k, (p, q) in enumerate(self.u.pairs):
            lines += _added(f"h{p}_{q}", [(f"r{i}", bends[i][k]) for i in self.arms])
            lines += [f"h{p}_{q} += m{p} * m{q}"]
            lines += _added(f"h{p}_{q}", [(f"-y{i}", slopes[i][p], slopes[i][q]) for i in self.arms])
        return lines

    def learn(self, order: int) -> list[str]:
        """The state after the trial, and its slopes."""
        u = self.u
        code = u.coded(u.moving, u.bending if order > 1 else frozenset())
        ends = dict(zip(u.state, u.after, strict=True))
        if order > 0:
            slope = {(k, p): code.slope(u.after[k], p) for k, p in sorted(u.moving)}
            ends |= {first(k, p): slope[k, p] for k, p in sorted(u.moving)}
        if order > 1:
            ends |= {second(k, p, q): code.slope(slope[k, p], q) for k, p, q in sorted(u.bending)}
        ends = {name: end for name, end in ends.items() if name != end}
        # All at once: what comes later must not see what was changed before.
        return [*code.lines(ends.values()), *_assigned(ends), *self.keep(order)]


def _assigned(ends: dict[str, str]) -> list[str]:
    """Assignments that happen together; operands that another one changes are copied first."""
    copied = {end for end in ends.values() if end in ends}
    lines = [f"before_{name} = {name}" for name in sorted(copied)]
    return lines + [
        f"{name} = {f'before_{end}' if end in copied else end}" for name, end in ends.items()
    ] or ["pass"]


def _added(name: str, products: Iterable[tuple[str, ...]]) -> list[str]:
    """Statements that add products to a sum, without those that are 0 and factors of 1."""
    lines = []
    for factors in products:
        if ZERO in factors:
            continue
        kept = [factor if not factor.startswith("-") else f"({factor})" for factor in factors]
        lines.append(f"{name} += {' * '.join(factor for factor in kept if factor != '1.0')}")
    return lines


def _flat(rows: list[list[str]]) -> list[str]:
    return [entry for row in rows for entry in row if not is_literal(entry)]


def _in(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


PAID = ("reward", "gain", "loss")
"""Outcomes with one value by trial."""

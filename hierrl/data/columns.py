"""Which column is what: as the researcher says, or by the names that are common in the field."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations

from hierrl.data.table import NOUN, Table, listed, nearest

# Compared without case, spaces and punctuation. A column called like the role itself comes before all
# synonyms; among synonyms nothing is preferred: two of them are an error.
_WORDS = {
    "subject": """
        subj subjid subjectid subjectnumber subjectno subjectnr subjectcode subnum subno sub subid sid id
        participant participantid participantnumber participantcode ppt pptid ppid pid pp vp vpn ptcp
        person personid player playerid user userid worker workerid patient patientid
        animal animalid mouse mouseid rat ratid monkey monkeyid
    """,
    "choice": """
        choices action actions response responses resp chosen chosenarm chosenoption chosenstimulus
        chosenaction arm option selection selected decision pick deck
    """,
    "reward": """
        rewards outcome outcomes feedback payoff payout points score rew reinforcement rewarded
        rewardreceived rewardobtained
    """,
    "session": "sessions sessionid sessionnumber sessionno sess ses run runid runnumber visit",
    "trial": "trials trialnumber trialnum trialno trialnr trialindex trialid trialn ntrial tr trl",
    "gain": "gains",
    "loss": "losses",
    "forgone": "foregone forgonereward foregonereward",
    "context": "",
    "forced": "forcedchoice isforced",
}
SYNONYMS: Mapping[str, tuple[str, ...]] = {role: tuple(words.split()) for role, words in _WORDS.items()}
# A block may be a session (values start anew) or a phase within one: the data decide, see `order.py`.
BLOCK = tuple("block blocks blockid blocknumber blockno blocknum blockindex".split())
LABEL_NAMES = frozenset({"subject", "session", *SYNONYMS["subject"], *SYNONYMS["session"], *BLOCK})

REQUIRED = ("subject", "choice")


def normalised(name: object) -> str:
    """A column name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def find_columns(table: Table, asked: Mapping[str, object], taken: Sequence[Hashable]) -> Table:
    """Give every role its column: `asked` (None = find it, False = none); `taken` are used otherwise."""
    given = {role: check_column(table, name, role) for role, name in asked.items() if _is_given(name)}
    used = {*given.values(), *taken}
    found = {}
    for role in (role for role, name in asked.items() if name is None):
        name = _by_name(table, role, used | set(found.values()))
        if name is not None:
            found[role] = name
    roles = {role: (given | found)[role] for role in asked if role in given or role in found}
    _check_distinct(roles)
    _check_required(table, roles, asked)
    return table.with_roles(roles, found)


def check_column(table: Table, name: Hashable, role: str) -> Hashable:
    """The name, if it is that of one column; `role` is the argument that named it."""
    names = list(table.frame.columns)
    if not isinstance(name, Hashable) or isinstance(name, tuple) and name not in names:
        raise TypeError(f"{role}= takes the name of one column; found {name!r}.")
    if name not in names:
        hint = nearest(name, names)
        raise ValueError(f"There is no column {name!r} ({role}=). The table has {listed(names)}.{hint}")
    if name in table.duplicated:
        raise ValueError(
            f"The table has several columns called {name!r}, so {role}= is unclear. Rename or drop all but "
            "one."
        )
    return name


def _is_given(name: object) -> bool:
    return name is not None and name is not False


def _by_name(table: Table, role: str, used: set[Hashable]) -> Hashable | None:
    free = [name for name in dict.fromkeys(table.frame.columns) if name not in used]
    for names in ((role,), SYNONYMS[role]):
        candidates = [name for name in free if normalised(name) in names]
        if len(candidates) > 1:
            raise ValueError(
                f"Several columns could be the {NOUN[role]}: {listed(candidates)}. Say which one it is, for "
                f"instance {role}={candidates[0]!r}."
            )
        if candidates:
            return check_column(table, candidates[0], role)
    return None


def _check_distinct(roles: Mapping[str, Hashable]) -> None:
    for (role, name), (other, same) in combinations(roles.items(), 2):
        if name == same:
            raise ValueError(
                f"The column {name!r} was given both for the {NOUN[role]} ({role}=) and for the "
                f"{NOUN[other]} ({other}=). Each needs its own column."
            )


def _check_required(table: Table, roles: Mapping[str, Hashable], asked: Mapping[str, object]) -> None:
    for role in REQUIRED:
        if role not in roles and asked[role] is None:
            raise ValueError(_missing(table, role, roles))
    if asked["choice"] is False:
        raise ValueError(
            "choice=False: without choices there is nothing to fit. Name their column with choice='...'."
        )
    if "reward" not in roles and not {"gain", "loss"} <= roles.keys():
        raise ValueError(_missing(table, "reward", roles))


def _missing(table: Table, role: str, roles: Mapping[str, Hashable]) -> str:
    names = list(table.frame.columns)
    advice = {
        "subject": "For a table of one subject without such a column, pass subject=False.",
        "choice": "",
        "reward": "Tables with separate gains and losses need gain= and loss= instead.",
    }[role]
    text = (
        f"No column for the {NOUN[role]} was found. The table has {listed(names)}. Say which one it is with "
        f"{role}='...'. {advice}"
    ).strip()
    text += "".join(
        f" (The column {column!r} is used already: {other}={column!r}.)"
        for other, column in roles.items()
        if normalised(column) in (role, *SYNONYMS[role])
    )
    return text + (
        " Its column names look like data: has the file no header line?" if _look_like_data(names) else ""
    )


def _look_like_data(names: Sequence[Hashable]) -> bool:
    numeric = [re.fullmatch(r"-?\d+(\.\d+)*", str(name).strip()) is not None for name in names]
    return sum(numeric) * 2 >= len(numeric)


def columns_by_arm(table: Table, name: str) -> dict[str, Hashable]:
    """Columns written ``name[<arm>]``, by the text of the arm's label."""
    pattern = re.compile(rf"{re.escape(name)}\[(.+)\]", re.IGNORECASE)
    matches = ((pattern.fullmatch(str(column)), column) for column in table.frame.columns)
    return {match.group(1): column for match, column in matches if match}

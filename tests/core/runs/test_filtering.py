"""The filter language against a table of what each text must choose, and against text that nobody would write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.runs.facts import NUMBERS, Facts
from hrm_core.runs.filtering import FIELDS, MOST_CHARACTERS, parse


def recipe(optimizer="adamw", lr=1e-3, swap=None, seed=1, canvas=7):
    return {
        "optimizer": {"kind": optimizer, "lr": lr, "weight_decay": 0.1},
        "rows": {"kind": "adam", "lr": 0.01},
        "model": {"hidden": 128, "share_levels": False},
        "techniques": {"lion_swap": swap, "drop_path": None},
        "training": {"seed": seed, "batch": 32},
        "evaluation": {"batch": 64},
        "data": {"canvases": [canvas, 30]},
    }


def run(name, experiment, state, *, alarms=(), marked=False, made=None, **numbers):
    values = {**dict.fromkeys(NUMBERS), **numbers, "alarms": float(len(alarms))}
    has = frozenset(key for key, value in values.items() if value is not None and key != "alarms")
    has |= {"alarm"} if alarms else set()
    return Facts(name, experiment, state, values, tuple(alarms), made or recipe(), has, marked)


RUNS = (
    run("night-EXP-00-s1", "EXP-00", "running", val=0.1, trivial=0.009, lift=0.091, loss=0.5, step=9_000.0, eta=5400.0),
    run("night-EXP-07-s1", "EXP-07", "running", val=0.3, best=0.31, loss=0.2, step=12_000.0, eta=60.0, age=7200.0,
        made=recipe("lion", 1e-4, {"at": 0.5})),
    run("EXP-07b-s2", "EXP-07b", "lost", alarms=("lost",), val=0.25, step=10_000.0, made=recipe("lion", seed=2)),
    run("plateau", "plateau-71", "finished", alarms=("input_blind", "constant_output"), val=0.0, marked=True,
        made=recipe(canvas=30)),
    run("young", "demo", "starting", age=4.0),
)  # fmt: skip
RECIPES = [facts.recipe for facts in RUNS]
A, B, C, D, E = range(5)


def chosen(text):
    question = parse(text, RECIPES)
    return [at for at, facts in enumerate(RUNS) if question(facts)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [A, B, C, D, E]),
        ("   ", [A, B, C, D, E]),
        ("exp:EXP-07", [B]),
        ("exp:exp-07", [B]),
        ("exp:EXP-07*", [B, C]),
        ("exp:EXP-00,demo", [A, E]),
        ("exp=EXP-00", [A]),
        ("exp!=EXP-00", [B, C, D, E]),
        ("state:running", [A, B]),
        ("state:run", [A, B]),
        ("state:lost,finished", [C, D]),
        ("state:live", [A, B, E]),
        ("state:ended", [D]),
        ("-state:running", [C, D, E]),
        ("state!=running", [C, D, E]),
        ("name:night", [A, B]),
        ("name:*-s?", [A, B, C]),
        ("name:s1", [A, B]),
        ("night", [A, B]),
        ("NIGHT", [A, B]),
        ("EXP-07", [B, C]),
        ("demo", [E]),
        ("*-s1", [A, B]),
        ("val>0.2", [B, C]),
        ("val > 0.2", [B, C]),
        ("val>20%", [B, C]),
        ("exact>=0.25", [B, C]),
        ("val=10%", [A]),
        ("val!=0.1", [B, C, D]),
        ("-val>0.2", [A, D, E]),
        ("val<=0", [D]),
        ("val>=30%", [B]),
        ("lift>5%", [A]),
        ("best>0.3", [B]),
        ("score>0.3", [B]),
        ("loss<0.3", [B]),
        ("step>=10k", [B, C]),
        ("step>1e4", [B]),
        ("eta<2h", [A, B]),
        ("eta<=1.5h eta>=90m", [A]),
        ("eta=60", [B]),
        ("age<10s", [E]),
        ("age=2h", [B]),
        ("alarm", [C, D]),
        ("-alarm", [A, B, E]),
        ("!alarm", [A, B, E]),
        ("--alarm", [C, D]),
        ("alarm:input_blind", [D]),
        ("alarm:blind", [D]),
        ("alarm:lost,constant*", [C, D]),
        ("alarms>1", [D]),
        ("marked", [D]),
        ("has:best", [B]),
        ("has:val -has:eta", [C, D]),
        ("cfg.optimizer=lion", [B, C]),
        ("cfg.optimizer:lion", [B, C]),
        ("cfg.optimizer=LION", [B, C]),
        ("cfg.optimizer=li*", [B, C]),
        ("cfg.optimizer!=lion", [A, D, E]),
        ("cfg.optimizer.kind=lion", [B, C]),
        ("cfg.optimizer.lr<5e-4", [B]),
        ("cfg.lr=0.0001", [B]),
        ("cfg.rows.lr=1e-2", [A, B, C, D, E]),
        ("cfg.hidden=128", [A, B, C, D, E]),
        ("cfg.hidden>128", []),
        ("cfg.share_levels=false", [A, B, C, D, E]),
        ("cfg.seed=2", [C]),
        ("cfg.batch=32", [A, B, C, D, E]),
        ("cfg.lion_swap", [B]),
        ("cfg.lion_swap.at=0.5", [B]),
        ("cfg.lion_swap=none", [A, C, D, E]),
        ("cfg.canvases=7", [A, B, C, E]),
        ("exp:EXP-07 state:running val>0.2 cfg.optimizer=lion -alarm", [B]),
        ("state:lost | marked", [C, D]),
        ("state:running val>0.2|young", [B, E]),
        ("nobody", []),
    ],
)
def test_what_a_text_chooses(text, wanted):
    assert chosen(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vall>0.2", "did you mean val?"),
        ("stat:running", "did you mean state?"),
        ("nonsense:x", "there are name, exp, state"),
        ("state:runing", "did you mean running?"),
        ("state:zz", "use one of starting"),
        ("val>abc", "is no share; write val>0.2 or 20%"),
        ("val>1h", "is no share"),
        ("eta<5x", "write eta>90s, 20m, 2h or 3d"),
        ("step>20%", "is no count"),
        ("val>", "ends where its value should be: write val>0.2"),
        ("exp:", "write exp:EXP-07"),
        ("exp>EXP-00", "compares words: write exp:EXP-00"),
        ("a | | b", "nothing on one side"),
        ("|", "nothing on one side"),
        ("- alarm", "right before a term"),
        ("has:bset", "did you mean best?"),
        ("cfg.optimiser=lion", "did you mean cfg.optimizer"),
        ("cfg.kind=adam", "could be optimizer.kind or rows.kind"),
        ("cfg.hiden=3", "did you mean cfg.model.hidden?"),
        ("cfg.hidden>wide", "is no number; write cfg.hidden>0.001"),
        ("cfg.=1", "no run's recipe has"),
        ("x" * (MOST_CHARACTERS + 1), "use at most"),
        ("\x1b[2J:3\x07", "nothing"),
    ],
)
def test_what_cannot_be_understood_is_said_with_the_remedy(text, said):
    if said == "nothing":
        assert chosen(text) == []
        return
    with pytest.raises(UserError) as caught:
        chosen(text)
    assert said in caught.value.message
    assert caught.value.exit_code == 2 and "\n" not in caught.value.message


def test_without_recipes_a_setting_chooses_nothing():
    assert not parse("cfg.optimizer=lion")(RUNS[B])
    assert not parse("cfg.lr>0")(RUNS[B]) and not parse("cfg.lr")(RUNS[B])


WORDS = st.sampled_from(
    [*FIELDS, "cfg.", "cfg.lr", "exp", ":", "=", "!=", "<=", ">", "|", "-", "!", " ", "*", "?", "[", "]", "0.2", "%",
     "k", "1e999", "nan", ",", ".", "lion", "running", "'", "\\", "\x1b", "\u202e", "٣"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map("".join)))
def test_no_text_raises_anything_but_a_user_error(text):
    try:
        question = parse(text, RECIPES)
    except UserError as error:
        assert error.message and "\n" not in error.message and error.message.isprintable()
        return
    assert all(question(facts) in (True, False) for facts in RUNS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abk"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abk"), JSON, max_size=3),
    st.sampled_from(["a", "a.b", "b", "k"]),
    st.sampled_from(["", "=1", ">0.5", "=true", "=none", "=x*"]),
)
def test_no_recipe_makes_a_question_fail(recipe, key, rest):
    try:
        question = parse(f"cfg.{key}{rest}", [recipe])
    except UserError:
        return
    assert question(run("x", "", "lost", made=recipe)) in (True, False)

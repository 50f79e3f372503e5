"""Operations of the recurrent block, halting and the update: one folder each, with a reference in plain torch.

Not OpenAI's package of the same name: `PROJECT` says whose this is, and hrm_core checks it before use.
"""

PROJECT = "hrm-console"

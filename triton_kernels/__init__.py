"""Operations of the recurrent block, halting and the update: one folder each, with a reference in plain torch.

Not OpenAI's package of the same name: `PROJECT` says whose this is; where an import fails, the command looks at it
and names the stranger.
"""

PROJECT = "hrm-console"

"""Neural students, many trained at once (PyTorch; the extra ``nn``). To read it from the top:

`config` (how students are trained), `network`, `mlp`, `transformer`, `in_context`, `parity` (what they
are), `training` (the door), `ensemble` (the loop), and what the loop is made of: `data`, `step`,
`schedule`, `stopping`, `checkpoint`.
`trained` is what comes out, task by task where there are many (`tasks`); `activations`,
`tangent_kernel` and `limit` look into it.

On accelerators the steps between two evaluations are a `program`, made of `feed`, `prefetch`,
`flat_update` and `graph`; `parallel` trains one large student on several of them. `time_limit` refuses
budgets that take too long.
"""

"""Neural students, many trained at once (PyTorch; the extra ``nn``). To read it from the top:

`config` (how students are trained), `network`, `mlp`, `transformer` and `in_context` (made of `blocks`),
`parity` (what they are), `training` (the door), `job` (what is trained, checked), `ensemble` (the loop),
and what the loop is made of: `data` and `stream`, `step`, `losses`, `dropout`, `schedule`, `stopping`,
`checkpoint`. `trained` is what comes out, task by task where there are many (`tasks`); `activations`,
`gradients`, `tangent_kernel` and `limit` look into it; `parity_gradient` is a faster step of parity
networks. `regression` and `module` are learners with fit and predict.

On accelerators (`device`) the steps between two evaluations are a `program`, made of `feed`, `prefetch`,
`flat_update` and `graph`; `parallel` trains one large student on several of them. `time_limit` refuses
budgets that take too long. `sparse_autoencoder` and `superposition` are networks with loops of their own.
"""

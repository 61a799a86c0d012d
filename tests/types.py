"""What a type checker sees of the public face: checked by pyright in `make check`, never run."""

from collections.abc import Iterator
from typing import assert_type

from torch import Tensor, nn

import ddpm

model = ddpm.load("runs/demo")
assert_type(model, ddpm.TrainedModel)
assert_type(model.sample(16, sampler=ddpm.DDIM(eta=0.5), steps=20), ddpm.Images)
assert_type(model.inpaint("a.png", "mask.png", steps=250, seed=1), ddpm.Images)
assert_type(model.bits_per_dim("digits"), ddpm.Bound)
assert_type(model.bits_per_dim("digits").total, float)
assert_type(model.schedule, ddpm.Schedule)
assert_type(model.process, ddpm.ReverseProcess)
assert_type(model.network, nn.Module)
assert_type(model.encode(ddpm.images("digits")), Tensor)
assert_type(ddpm.fit("digits", "runs/mine", steps=10), ddpm.TrainedModel)
p = ddpm.ReverseProcess(lambda x_t, timestep: x_t, ddpm.cosine(T=100))
assert_type(ddpm.train(p, ddpm.images("digits"), steps=10), Iterator[ddpm.Progress])
assert_type(ddpm.sample(p, (4, 1, 8, 8), ddpm.Heun(), steps=10), Tensor)
assert_type(ddpm.bound(p, ddpm.images("digits")), ddpm.Bound)
assert_type(ddpm.linear(T=10), ddpm.Schedule)

"""A network, its gradients by hand, and the same gradients by PyTorch's autograd."""

import numpy as np
import torch

from manualbp import Linear, Sequential, Tanh, flatten
from reference import to_torch

net = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
rng = np.random.default_rng(0)
params, x, dy = net.init(rng), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))

y, cache = net.forward(params, x)  # by hand: two pure functions
dx, grads = net.backward(params, cache, dy)

twin = to_torch(net, params)  # in PyTorch: a torch.nn.Sequential of the same numbers
twin(torch.tensor(x)).backward(torch.tensor(dy))

for name, p in twin.named_parameters():
    print(f"{name:9} {tuple(p.shape)!s:7} largest difference {np.abs(flatten(grads)[name] - p.grad.numpy()).max():.1e}")

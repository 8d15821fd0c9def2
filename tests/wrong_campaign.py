"""`manualbp` with a mistake in it: Tanh's gradient is off by 1 %. Every process that it starts has the mistake, too.

Workers of a cluster that exists take it from here: python -m distributed.cli.dask_worker --preload wrong_campaign.py
"""

import manualbp as m


def off(right):
    def backward(self, params, cache, dy):
        dx, grads = right(self, params, cache, dy)
        return 1.01 * dx, grads

    return backward


def dask_setup(worker):
    m.Tanh.backward = off(m.Tanh.backward)  # type: ignore[method-assign]


if __name__ in ("__main__", "__mp_main__"):
    dask_setup(None)

if __name__ == "__main__":
    from reference.cli import main

    main()

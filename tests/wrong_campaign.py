"""`manualbp` with a mistake in it: Embedding's gradient is doubled. Every process that it starts has the mistake, too.

Workers of a cluster that exists take it from here: python -m distributed.cli.dask_worker --preload wrong_campaign.py
"""

import manualbp as m


def off(right):
    def backward(self, params, cache, dy):
        dx, grads = right(self, params, cache, dy)
        return dx, {name: 2 * g for name, g in grads.items()}

    return backward


def dask_setup(worker):
    m.Embedding.backward = off(m.Embedding.backward)  # type: ignore[method-assign]


if __name__ in ("__main__", "__mp_main__"):
    dask_setup(None)

if __name__ == "__main__":
    from reference.cli import main

    main()

"""The four vendors' APIs over the simulated world: answers shaped as the vendors document them."""

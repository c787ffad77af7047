"""Sampling controls: what a request changes of its rows' logits, and what ends them.

A request's controls are compiled once, when it is submitted; each row keeps the little that they
need to know of it; a step applies those of all rows at once. docs/sampler.md defines them.
"""

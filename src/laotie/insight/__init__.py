"""Insight: what happened, in figures that anyone can recompute.

Owns the measures (each one Ibis expression over the lake, with a definition that people can read), the engines that run
them, the roll-ups that keep a day's work from being done twice, and forecasts. It writes nothing about money and decides
nothing; whoever settles on a figure waits for the lake's watermark.
"""

from laotie.insight.engine import Engine

__all__ = ["Engine"]

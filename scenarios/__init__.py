"""Scenarios that come with dcsim: baselines and what-ifs, each commented so that a planner can edit it."""

__all__: list[str] = []

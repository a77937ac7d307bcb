"""Planner: what each plan of a job would cost, and which one is taken."""

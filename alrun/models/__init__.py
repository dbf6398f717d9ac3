"""Models: the learners that are trained in every cycle."""

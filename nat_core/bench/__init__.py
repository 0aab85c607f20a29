"""`nat bench`: searches beside each other on problems whose best front is known, in hypervolume over evaluations."""

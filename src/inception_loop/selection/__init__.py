"""Which units get an image: oracle, ranking, the best networks, the selection rule, a panel by truth."""

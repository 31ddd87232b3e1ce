"""Where refinements iterate: the loop, its state, and the recipes that choose its parts."""

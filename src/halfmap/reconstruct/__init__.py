"""From posed images to maps: sums, solution, prior."""

"""What is done to a density map in itself: masks, filters, other grids."""

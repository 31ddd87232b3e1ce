"""Other people's file syntax: MRC and STAR. Nothing here knows what a column or an image means."""

"""Where is the molecule in each image: global search, pose refinement, and what is known of both."""

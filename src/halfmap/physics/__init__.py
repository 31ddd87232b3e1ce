"""How an image comes from a molecule: contrast transfer, projection, noise."""

"""New stacks out of images: boxes cut from micrographs, cropping, rescaling, normalisation, writing."""

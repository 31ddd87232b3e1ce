"""Where parameters of cryoSPARC's other jobs are found in halfmap: import, volumes, particles, validation.

Facts from its guide and job specifications up to version 5.
"""

from __future__ import annotations

from halfmap.params.equivalent import P

CRYOSPARC_IMPORT = (
    P("particle_meta_path", "Particle meta path", ("particles", "passthrough")),
    P("particle_blob_path", "Particle data path", ("images_root",)),
    P("psize_A", "Pixel size override", ("pixel_size_A",)),
    P("accel_kv", "Accelerating voltage", ("voltage_kV",)),
    P("cs_mm", "Spherical aberration", ("spherical_aberration_mm",)),
    P("amp_contrast", "Amplitude contrast", ("amplitude_contrast",)),
    P("sign", "Data sign", ("contrast",)),
    P("ignore_pose", "Ignore pose data", ("ignore_poses",)),
    P("ignore_splits", "Ignore FSC half-set split", ("ignore_halves",)),
    P("ignore_blob", "Ignore raw data", ("ignore_images",)),
    P("cut lengths of prefix and suffix", "matching names of micrographs", (), "Micrographs are not looked for."),
)  # fmt: skip
CRYOSPARC_IMPORT_VOLUME = (
    P("volume_blob_path", "Volume data path", ("volume",), "One file a job."),
    P("volume_out_name", "Type of volume being imported", ("kind",)),
    P("volume_psize", "Pixel size override", ("voxel_size_A",)),
    P("EMDB ID", "fetch from the EMDB", (), "Nothing is fetched from the network."),
)  # fmt: skip
CRYOSPARC_FILTER = (
    P("volume (input)", "Input volume", ("volume", "half1", "half2"), "With its half-maps."),
    P("mask (input)", "Input mask", ("mask",), "Goes along unchanged."),
    P("lowpass resolution", "Lowpass filter resolution", ("lowpass",)),
    P("lowpass type", "Lowpass filter type", ("filter_type",), "There rectangular before version 5."),
    P("lowpass order", "Lowpass filter order", ("filter_order",), "There 10 before version 5."),
    P("volume gaussian sDev", "blur in ChimeraX", ("gaussian_sdev",), "There in A."),
)  # fmt: skip
CRYOSPARC_MASK = (
    P("volume or mask (input)", "Input volume", ("volume",)),
    P("type of output volume", "map or mask", (), "Always a mask; halfmap volume threshold makes a map."),
    P("threshold", "Threshold", ("threshold",)),
    P("fill holes", "Fill holes", ("fill_holes",)),
    P("dilation radius", "Dilation radius", ("dilation_radius", "unit")),
    P("soft padding", "Soft padding width", ("soft_padding", "unit")),
    P("invert", "Invert mask", ("invert",), "The last step, as there."),
)  # fmt: skip
BESIDES = (
    P("half-maps and masks (volumes group)", "moved along", ("half1", "half2", "mask"), "From the job folder by "
      "themselves."),
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "Images are not read."),
)  # fmt: skip
CRYOSPARC_VOLUME_TOOLS = (
    P("volume (input)", "Input volume, type of input volume", ("volume",)),
    P("mask (input)", "Input mask", ("mask",), "Volumes and masks are changed together."),
    P("crop to box size", "Crop (or pad) to box size", ("box_size",)),
    P("resample to box size", "Resample to box size (Fourier crop/pad)", ("resample_box_size",)),
    P("output pixel size", "Resample to pixel size", ("voxel_size_A",), "Any ratio, no rounding to whole boxes."),
    P("flip hand", "Flip hand", (), "`halfmap volume flip`, which turns the poses too."),
    P("override pixel size", "Override pixel size", (), "`halfmap import volume --voxel-size`."),
)  # fmt: skip
CRYOSPARC_FLIP = (
    P("volume (input)", "Input volume", ("volume",)),
    P("flip hand", "Flip hand", (), "What the job does; there of the map alone."),
    *BESIDES,
)
CRYOSPARC_VOLUME_ALIGNMENT = (
    P("volume (input)", "Input volume", ("volume",)),
    *BESIDES,
    P("recenter_shift", "New center", ("centre",), "From the corner of the box, px or A, as there."),
    P("mask for the centre", "Center of a mask", ("to_mask",)),
    P("adjust defocus", "Adjust per-particle defocus", ("adjust_defocus",), "Both signs; an external script there."),
    P("align to symmetry axes", "Symmetry", (), "`halfmap volume align --to-symmetry`."),
)  # fmt: skip
CRYOSPARC_ALIGN_3D = (
    P("volume (input)", "Volumes to align", ("volume",)),
    *BESIDES,
    P("reference (input)", "Reference volume", ("reference",)),
    P("reference mask (input)", "Mask", ("reference_mask",), "Only compares; nothing is multiplied by it."),
    P("Volume Alignment Tools: symmetry", "Align to symmetry axes", ("to_symmetry",)),
    P("adjust defocus", "Adjust per-particle defocus", ("adjust_defocus",)),
)  # fmt: skip
CRYOSPARC_SUBTRACT = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root")),
    P("volume (input)", "Volume with half-maps", ("volume", "half1", "half2")),
    P("mask (input)", "Mask of what is subtracted", ("mask",)),
    P("inner_radius, outer_radius", "Window of the particles", (), "Images are subtracted whole, without a window."),
    P("use_premult", "Premultiplier for scaling", (), "Always; the scale itself is found by regression."),
    P("scale of the map", "none there", ("reestimate_greyscale",), "The slope is told in summary.json."),
    P("use_halfmaps", "Use half-maps", ("use_halfmaps",)),
    P("float16", "Output in float16", ("float16",), "As of cryoSPARC's other jobs that write images."),
    P("lpf_volume", "Lowpass volume", ("lowpass",)),
    P("mask_threshold, mask_fill_holes, dilation, soft padding", "Changes of the mask", (), "Make the mask first."),
)  # fmt: skip
CRYOSPARC_DOWNSAMPLE = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root")),
    P("crop", "Crop/pad to box size", ("crop",)),
    P("fourier crop", "Fourier crop to box size", ("box_size",)),
    P("pixel size", "Desired approximate pixel size", ("pixel_size_A",)),
    P("lowpass", "Lowpass resolution", (), "Fourier cropping is the low-pass."),
    P("recenter", "Recenter using aligned shifts", ("recenter",)),
    P("float16", "Output in float16", ("float16",)),
)  # fmt: skip
CRYOSPARC_EXPANSION = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root")),
    P("symmetry", "Symmetry group", ("symmetry",)),
    P("sym_twist_deg, sym_rise_A, sym_num_rises", "Helical symmetry", (), "Point groups only."),
)  # fmt: skip
CRYOSPARC_SHARPEN = (
    P("volume (input)", "Volume", ("volume", "half1", "half2")),
    P("mask (input)", "Mask", ("mask",)),
    P("sharp_bfactor", "B-factor", ("bfactor",), "None = Guinier estimate, with the FSC's weights."),
    P("sharp_use_FSC_full", "Use full-data FSC", ("fsc_weighting",), "full; cryoSPARC's other choice is half."),
    P("sharp_falloff_order", "Lowpass filter order", ("lowpass_order",)),
    P("sharp_falloff_offset", "Lowpass filter corner offset", ("lowpass_offset",)),
    P("corner of version 5", "low-pass without the FSC", ("lowpass",), "A resolution in A."),
    P("sharp_generate_new_mask, sharp_mask_thresh, _near_A, _far_A", "new FSC mask", ("fsc_mask_scaling",
      "fsc_mask_near_factor", "fsc_mask_far_factor", "auto_tighten_fsc_mask"), "Made where no mask is given."),
    P("sharp_do_spherical_mask, sharp_do_expand_mask", "masks on the output", (), "Maps are written unmasked."),
)  # fmt: skip
CRYOSPARC_VALIDATION = (
    P("volume (input)", "Volume", ("half1", "half2")),
    P("mask (input)", "Mask", ("mask",)),
    P("Optimize FSC mask", "auto-tightening", ("auto_tighten_fsc_mask",)),
    P("mask near, mask far", "distances of a new mask", ("fsc_mask_scaling", "fsc_mask_near_factor",
      "fsc_mask_far_factor")),
    P("Override pixel size", "true pixel size", ("voxel_size_A",)),
    P("FSC masks of version 5", "masks in units of the resolution", ("fsc_mask_scaling",)),
)  # fmt: skip
CRYOSPARC_LOCAL_RESOLUTION = (
    P("volume (input)", "Volume", ("volume", "half1", "half2")),
    P("mask (input)", "Mask", ("mask",)),
    P("FSC threshold", "FSC threshold", ("fsc_threshold",)),
    P("Adaptive window factor", "window in units of the resolution", ("window_factor",), "There 25: a window of "
      "another shape, and larger."),
    P("Step size", "Step size", ("step",)),
    P("Annealing factor", "between local and global resolution", (), "Not offered: 0, its default."),
)  # fmt: skip
CRYOSPARC_LOCAL_FILTER = (
    P("map_half_A/B (input)", "Half-maps", ("volume", "half1", "half2")),
    P("map_locres (input)", "Local resolution", ("local_resolution",)),
    P("mask_refine (input)", "Mask", ("mask",), "Outside it the coarsest resolution is taken."),
    P("kernel", "lanczos or gaussian", (), "A Butterworth filter, as halfmap sharpen."),
    P("B-factor for sharpening", "B-factor", ("bfactor",)),
    P("Maximum resolution for sharpening", "cut-off", ("max_resolution",)),
)  # fmt: skip
CRYOSPARC_ORIENTATION = (
    P("volume (input)", "Volume", ("volume", "half1", "half2")),
    P("particles (input)", "Particles", ("particles",)),
    P("mask (input)", "Mask", ("mask",)),
    P("od_cone_angle", "cone half-angle", (), "Always 20 degrees, its default."),
    P("od_num_dirs", "directions", (), "96 cones that overlap by half; 3072 directions of the sampling, as there."),
    P("od_scf_radwn", "SCF Fourier radius", ("scf_radius",)),
    P("od_scf_sym", "SCF symmetry", ("symmetry",), "Of the job folder, where it tells one."),
    P("od_scf_num_part", "SCF number of particles", ("scf_particles",)),
)  # fmt: skip

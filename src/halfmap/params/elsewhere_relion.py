"""Where flags of RELION's programs are found in halfmap, or why not. Facts from RELION 5's help texts."""

from __future__ import annotations

from halfmap.params.equivalent import NO_GPU, P

RELION_MASK = (
    P("--i", "input map", ("volume",)),
    P("--o", "output", ("out",), "A folder with mask.mrc."),
    P("--lowpass", "low-pass filter before the threshold", ("lowpass",), "Gaussian; there 15 A, a cosine."),
    P("--ini_threshold", "binarisation threshold", ("threshold",), "There 0.01 of the map's units; none finds it."),
    P("--extend_inimask", "extend the binary map", ("dilation_radius", "unit"), "There 3 voxels."),
    P("--width_soft_edge", "soft edge", ("soft_padding", "unit"), "There 3 voxels."),
    P("--angpix", "pixel size", (), "The header of the map says it; halfmap import volume changes it."),
    P("--invert", "invert", (), "halfmap volume mask --invert."),
    P("--helix", "helical mask", (), "Point groups only."),
    P("--j", "threads", ("threads",)),
)  # fmt: skip
RELION_COMBINE = (
    P("--i, --and, --or, --and_not, --or_not", "masks", ("mask",), "There thresholded; here soft masks stay soft."),
    P("--and", "in both", ("operation",), "intersection."),
    P("--or", "in one of both", ("operation",), "union."),
    P("--and_not", "in the first only", ("operation",), "difference."),
    P("--invert", "the other side", ("operation",), "complement."),
)  # fmt: skip
# What relion_refine has in every use, from its iterations to its processors
RELION_USUAL = (
    P("--iter", "number of iterations", ("max_iterations",)),
    P("--tau2_fudge", "regularisation", (), "The FSC of the halves sets the filter."),
    P("--blush", "Blush regularisation", (), "Not offered."),
    P("--K", "number of classes", (), "One structure."),
    P("--helix ...", "helical symmetry", (), "Point groups only."),
    P("--pad", "padding factor", (), "Always 2."),
    P("--skip_gridding", "skip gridding", (), "Always: division by the weights and an exact correction for "
      "interpolation."),
    P("--pool", "pooled particles", ("minibatch_size",)),
    P("--j", "threads", ("threads",)),
    P("--gpu", "GPUs", (), f"{NO_GPU}."),
)  # fmt: skip
RELION_REFINE = (
    P("--i", "input images", ("particles",)),
    P("--ref", "reference map", ("volume",)),
    P("--o", "output", ("out",), "A folder, not the root of file names."),
    P("--continue", "continue from here", ("resume", "continue_from", "continue_iteration"), 
      "From any kept iteration in a new job: the second."),
    P("--auto_refine --split_random_halves", "gold-standard refinement", (), "That is what the job is."),
    P("--ini_high", "initial low-pass filter", ("initial_lowpass",), "There usually 60 A."),
    P("--firstiter_cc", "correlation in the first iteration", ("reestimate_greyscale",), "The other way round: the "
      "grey scale of the map is fitted before the first iteration instead."),
    P("--ref_angpix, --trust_ref_size", "pixel size of the reference", (), "The header of the map says it."),
    P("--sym", "symmetry", ("symmetry",)),
    P("--relax_sym", "relax symmetry", ("relax_symmetry",), "Of the whole group; there of one named."),
    P("--ewald, --reverse_curvature", "Ewald-sphere correction, of relion_reconstruct", ("ewald_sphere",)),
    P("--ctf", "correct for the CTF", (), "Always; --ctf_intact_first_peak is not offered."),
    P("--particle_diameter", "mask diameter", ("particle_diameter_A",)),
    P("--zero_mask", "mask particles with zeros", (), "Always; a mask of noise adds noise."),
    P("--flatten_solvent, --solvent_mask", "reference mask", ("mask",)),
    P("--solvent_mask2", "second mask", (), "Not offered."),
    P("--solvent_correct_fsc", "solvent-flattened FSCs", (), "Always: alignment follows the corrected curve."),
    P("--low_resol_join_halves", "halves joined below this resolution", ("gsfsc_split_resolution",), "There 40 A."),
    P("--strict_highres_exp", "limit of the resolution in the E-step", ("max_align_resolution",)),
    P("--norm", "correct norms of images", (), "One noise spectrum and grey scale per optics group instead; "
      "--per-particle-scale for single images."),
    P("--scale", "correct grey scales", ("per_particle_scale",), "Of particles, there of micrographs."),
    P("--healpix_order, --oversampling", "angular sampling", (), "The grid of the only global search follows from "
      "resolution and diameter; then poses move freely, on no grid."),
    P("--auto_local_healpix_order, --sigma_ang", "local searches", (), "No grid, so none: poses are refined by "
      "Gauss-Newton steps."),
    P("--offset_range", "range of offsets", ("offset_range_A",), "In A, there in pixels."),
    P("--offset_step", "step of offsets", (), "Half the resolution in the search, then continuous."),
    P("--perturb", "random perturbation of the sampling", (), "No grid, so nothing to perturb."),
    P("--auto_ignore_angles, --auto_resol_angles", "finer angular sampling faster", (), "No grid."),
    P("--adaptive_fraction, --maxsig", "how many poses count", ("candidates", "marginalization"), "Poses that the "
      "search leaves to be refined; the map is made of the best one, or with --marginalization of all."),
    *RELION_USUAL,
    P("--scratch_dir, --keep_free_scratch", "scratch disk", ("cache_dir", "cache_reserve_GB"), "Copies stay for later "
      "jobs, and no job wipes those of another."),
    P("--preread_images", "images in memory", (), "Images stream, read ahead."),
    P("--dont_combine_weights_via_disc, --no_parallel_disc_io", "MPI", (), "One process."),
    P("--random_seed", "random seed", ("seed",)),
)  # fmt: skip
RELION_AUTO = (
    P("--i", "input images", ("particles",)),
    P("--ref", "reference map", ("volume",)),
    P("--o", "output", ("out",), "A folder, not the root of file names."),
    P("--continue", "continue from here", ("continue_from", "continue_iteration"), "The folder of the earlier job, "
      "one of its checkpoints, or under RELION's name its run_it003_optimiser.star; what was interrupted goes on with "
      "`halfmap resume`."),
    P("--auto_refine --split_random_halves", "gold-standard refinement", (), "That is what the job is."),
    P("--ini_high", "initial low-pass filter", ("initial_lowpass",)),
    P("--firstiter_cc", "reference is not on absolute greyscale", ("reestimate_greyscale",), "The grey scale of the "
      "map is fitted before the first iteration."),
    P("--ref_angpix, --trust_ref_size", "pixel size of the reference", (), "The header of the map says it."),
    P("--sym", "symmetry", ("symmetry",)),
    P("--relax_sym", "relax symmetry", (), "`halfmap refine homogeneous --relax-symmetry`."),
    P("--ewald, --reverse_curvature", "Ewald-sphere correction, of relion_reconstruct", ("ewald_sphere",)),
    P("--ctf", "do CTF correction", ("ctf_correction",)),
    P("--ctf_intact_first_peak", "ignore CTFs until first peak", ("ignore_ctf_until_first_peak",)),
    P("--particle_diameter", "mask diameter", ("particle_diameter_A",)),
    P("--zero_mask", "mask individual particles with zeros", ("zero_mask",)),
    P("--flatten_solvent, --solvent_mask", "reference mask", ("mask",), "There a sphere without a file."),
    P("--solvent_mask2", "second mask", (), "Not offered."),
    P("--solvent_correct_fsc", "use solvent-flattened FSCs", ("solvent_flattened_fsc",), "There off."),
    P("--low_resol_join_halves", "halves joined below this resolution", ("gsfsc_split_resolution",)),
    P("--strict_highres_exp", "limit of the resolution in the E-step", ("max_align_resolution",)),
    P("--norm", "correct norms of images", (), "One noise spectrum and grey scale per optics group instead; "
      "--per-particle-scale for single images."),
    P("--scale", "correct grey scales", ("per_particle_scale",), "Of particles, there of micrographs."),
    P("--healpix_order, --oversampling", "initial angular sampling", ("initial_sampling",), "As the window says it, "
      "oversampling included. Poses do not stay on the grid."),
    P("--auto_local_healpix_order", "local searches from auto-sampling", ("local_searches_from",), "Of particles whose "
      "pose is believed; the others are searched everywhere."),
    P("--sigma_ang", "range of local searches", (), "Two steps to each side, then pose refinement."),
    P("--offset_range", "range of offsets", ("offset_range",)),
    P("--offset_step", "step of offsets", ("offset_step",), "At most half the resolution of the search."),
    P("--perturb", "random perturbation of the sampling", (), "Poses do not stay on the grid."),
    P("--auto_ignore_angles, --auto_resol_angles", "use finer angular sampling faster", ("finer_sampling_faster",)),
    P("--force_converge", "make the next iteration the last", ("force_convergence",)),
    P("--adaptive_fraction, --maxsig", "how many poses count", ("candidates", "marginalization"), "All that the image "
      "allows, by their probabilities."),
    *RELION_USUAL,
    P("--preread_images, --scratch_dir", "images in memory or on a scratch disk", (), "Images stream, read ahead; "
      "copy them to a fast disk and name it with --images-root."),
    P("--dont_combine_weights_via_disc, --no_parallel_disc_io", "MPI", (), "One process."),
    P("--random_seed", "random seed", ("seed",)),
)  # fmt: skip
RELION_POSTPROCESS = (
    P("--i, --i2", "half-maps", ("half1", "half2")),
    P("--mask", "solvent mask", ("mask",), "Without one masks are made from the map."),
    P("--auto_mask, --inimask_threshold, --extend_inimask, --width_mask_edge", "automatic mask", ("fsc_mask_scaling",
      "fsc_mask_near_factor", "fsc_mask_far_factor", "auto_tighten_fsc_mask"), "Always made; named in every legend."),
    P("--randomize_at_fsc", "phases are random from here", (), "Always 0.8, as there; the expected curve, no draw."),
    P("--autob_lowres", "coarsest resolution of the B-factor fit", ("bfactor_fit_low_A",)),
    P("--autob_highres", "finest resolution of the B-factor fit", ("bfactor_fit_high_A",)),
    P("--molweight", "molecular weight", ("molecular_weight_kDa",), "The mask-free curve is always there."),
    P("--angpix", "pixel size", ("voxel_size_A",), "Without it the header of the map says it."),
    P("--mtf, --adhoc_bfac, --low_pass", "sharpening", (), "Of halfmap sharpen, see below."),
    P("--o", "output", ("out",)),
)  # fmt: skip
RELION_IMAGE_HANDLER = (
    P("--i", "input map", ("volume",)),
    P("--new_box", "Rebox the map", ("box_size",)),
    P("--rescale_angpix", "Rescale the map", ("voxel_size_A",), "Any ratio; there the nearest whole box."),
    P("Fix disparities in pixel size precision", "of Change map box and pixel size", ("exact_voxel_size",)),
    P("--force_header_angpix", "pixel size of the header", (), "The header always says the true one."),
    P("--shift_x, --shift_y, --shift_z", "shift", (), "`halfmap volume recenter --shift`."),
    P("--o", "output", ("out",)),
)  # fmt: skip
RELION_SUBTRACT = (
    P("--i", "particles, or the optimiser file", ("particles",)),
    P("--mask", "what is kept", ("mask",), "The opposite here: what is taken away."),
    P("--revert", "back to the original images", (), "The job halfmap revert."),
    P("--recenter_on_mask, --new_box", "re-centred, smaller images", (), "halfmap downsample afterwards."),
    P("--float16", "16-bit numbers", ("float16",)),
    P("--data", "a subset", (), "Give the table of the subset."),
)  # fmt: skip
RELION_EXTRACT = (
    P("--i", "micrographs", ("micrographs",)),
    P("--coord_list", "coordinates", ("coordinates",), "One STAR file with micrograph names and coordinates."),
    P("--reextract_data_star", "particles to extract again", ("particles",)),
    P("--reset_offsets", "offsets to zero", ("reset_offsets",)),
    P("--recenter", "re-centre refined coordinates", ("recenter",)),
    P("--recenter_x, --recenter_y, --recenter_z", "re-centre on a point of the map", (), "On the centre only."),
    P("--extract_size", "box", ("box_size",)),
    P("--scale", "re-scaled size", ("rescale",)),
    P("--invert_contrast", "invert contrast", ("invert_contrast",), "On by default."),
    P("--norm", "normalise", ("normalize",), "On by default."),
    P("--bg_radius", "background circle", ("background_diameter_A",), "In A, there half of it in pixels."),
    P("--white_dust, --black_dust", "removal of dust", (), "Not offered."),
    P("--float16", "16-bit numbers", ("float16",)),
)  # fmt: skip
RELION_SHARPEN = (
    P("--i, --i2", "half-maps", ("volume", "half1", "half2"), "A job folder has them."),
    P("--mask", "solvent mask", ("mask",)),
    P("--mtf", "MTF of the detector", ("mtf",)),
    P("--mtf_angpix", "pixel size of the micrographs", ("mtf_pixel_size_A",)),
    P("--auto_bfac", "B-factor from a fit", ("bfactor",), "Without a value it is fitted."),
    P("--adhoc_bfac", "B-factor given", ("bfactor",), "The sign is the same: negative sharpens."),
    P("--autob_lowres", "coarsest resolution of the fit", ("bfactor_fit_low_A",)),
    P("--autob_highres", "finest resolution of the fit", ("bfactor_fit_high_A",)),
    P("--skip_fsc_weighting", "no FSC weights", ("fsc_weighting",), "off; on by default, as there."),
    P("--low_pass", "low-pass of the final map", ("lowpass", "lowpass_order"), "A Butterworth filter, there a cosine "
      "of 2 shells; --lowpass none is its 0."),
    P("--molweight", "molecular weight", ("molecular_weight_kDa",)),
    P("--locres", "local resolution", (), "halfmap local-resolution and halfmap local-filter."),
)  # fmt: skip

"""Where to find a parameter of cryoSPARC or RELION: in which setting of halfmap, or why in none.

Owns other programs' names. Facts from their documentation: cryoSPARC's guide and job specifications up to version 5,
RELION 5's help texts. docs/PARAMETERS.md is made from it.
"""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """One parameter of another program."""

    name: str  # key or flag
    title: str  # what its window calls it, or what it is
    settings: tuple[str, ...]  # of the job of ours; empty = not offered
    remark: str = ""  # what differs; without a setting, why there is none


class Table(NamedTuple):
    """The parameters of one job of another program."""

    program: str
    job: str  # of ours, as in jobs/catalog
    parameters: tuple[Parameter, ...]


P = Parameter
NO_GPU = "halfmap computes on the processor"

CRYOSPARC_HOMOGENEOUS = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "Half-sets of the table are kept; "
      "image names of a .cs start at the project folder."),
    P("volume (input)", "Initial model", ("volume",)),
    P("mask (input)", "Mask", ("mask",), "The file itself makes the mask static; it then judges the FSC, too."),
    P("refine_N", "Refinement box size", ("box_size",)),
    P("refine_symmetry", "Symmetry", ("symmetry",)),
    P("refine_relax_symmetry", "Symmetry relaxation method", ("relax_symmetry",)),
    P("refine_symmetry_do_align", "Do symmetry alignment", ("align_symmetry",)),
    P("refine_do_init_scale_est", "Re-estimate greyscale level of input reference", ("reestimate_greyscale",)),
    P("refine_num_final_iterations", "Number of extra final passes", ("extra_final_passes",)),
    P("refine_do_marg", "Adaptive Marginalization", ("marginalization",), "There of non-uniform refinement, where it "
      "is on here, too."),
    P("refine_res_align_max", "Maximum align resolution", ("max_align_resolution",)),
    P("refine_highpass_res", "Minimum align resolution", ("min_align_resolution",)),
    P("refine_res_init", "Initial lowpass resolution", ("initial_lowpass",)),
    P("refine_res_gsfsc_split", "GSFSC split resolution", ("gsfsc_split_resolution",)),
    P("refine_gs_resplit", "Force re-do GS split", ("force_resplit",), "There on before version 4.5.3."),
    P("refine_clip", "Enforce non-negativity", ("non_negative",), "Half-maps stay as they are."),
    P("refine_window", "Window structure in real space", ("window_structure",)),
    P("refine_skip_premult", "Skip interpolant premult", (), "Nothing to choose: the correction for interpolation is "
      "always made, exactly, before projection and after reconstruction."),
    P("refine_ignore_dc", "Ignore DC component", (), "Nothing to choose: DC never takes part."),
    P("refine_ignore_tilt", "Ignore tilt", ("ignore_tilt",)),
    P("refine_ignore_trefoil", "Ignore trefoil", ("ignore_trefoil",)),
    P("refine_ignore_tetra", "Ignore tetra", ("ignore_tetrafoil",)),
    P("refine_ignore_anisomag", "Ignore anisomag", ("ignore_anisotropic_magnification",)),
    P("refine_batch_random", "Use random ordering of particles", (), "Nothing to choose: early subsets are spread "
      "evenly over the table, and images are read front to back."),
    P("refine_batchsize_no_auto", "Disable auto batchsize", ("early_subsets",), "The other way round: off = all "
      "particles in every iteration."),
    P("refine_batchsize_init", "Initial batchsize", ("subset_size",)),
    P("refine_batchsize_epsilon", "Batchsize epsilon", ("subset_growth",), "Subsets grow by a factor instead."),
    P("refine_batchsize_snrfactor", "Batchsize snrfactor", ("subset_growth",), "Subsets grow by a factor instead."),
    P("refine_scale_min", "Minimize over per-particle scale", ("per_particle_scale",), "There on from version 5."),
    P("refine_scale_start_iter", "Scale min/use start iter", ("scale_start_iteration",)),
    P("refine_scale_reset", "Reset input per-particle scale", ("scale_reset",)),
    P("refine_noise_model", "Noise model", ("noise_model",)),
    P("refine_noise_priorw", "Noise priorw", ("noise_prior_weight",), "The prior is the mean of all optics groups."),
    P("refine_noise_initw", "Noise initw", (), "The first spectrum comes from the images themselves and is replaced "
      "by that of the residuals after one iteration."),
    P("refine_noise_init_sigmascale", "Noise initial sigma-scale", ("noise_initial_scale",), "There 3."),
    P("refine_noise_init_from_imgs", "Initialize noise model from images", (), "Nothing to choose: always."),
    P("refine_mask", "Mask (dynamic, static, null)", ("mask",), "dynamic, none, or the file of a static one."),
    P("refine_dynamic_mask_thresh_factor", "Dynamic mask threshold", ("dynamic_mask_threshold",)),
    P("refine_dynamic_mask_near_ang", "Dynamic mask near", ("dynamic_mask_near",)),
    P("refine_dynamic_mask_far_ang", "Dynamic mask far", ("dynamic_mask_far",)),
    P("dynamic mask distances of version 5", "near and far in units of the resolution", ("dynamic_mask_scaling",
      "dynamic_mask_near_factor", "dynamic_mask_far_factor"), "--dynamic-mask-scaling resolution."),
    P("refine_dynamic_mask_start_res", "Dynamic mask start resolution", ("dynamic_mask_start_resolution",)),
    P("refine_dynamic_mask_use_abs", "Dynamic mask use absolute value", ("dynamic_mask_use_abs",)),
    P("FSC masks of version 5", "loose and tight masks in units of the resolution", ("fsc_mask_scaling",
      "fsc_mask_near_factor", "fsc_mask_far_factor"), "--fsc-mask-scaling resolution."),
    P("FSC mask auto-tightening", "Optimize FSC mask", ("auto_tighten_fsc_mask",)),
    P("refine_defocus_refine", "Optimize per-particle defocus", ("refine_defocus",)),
    P("crl_num_plots", "particles to plot (defocus)", (), "The curves of three are kept."),
    P("crl_min_res_A", "Minimum Fit Res (defocus)", ("defocus_min_fit_resolution",)),
    P("crl_df_range", "Defocus search range", ("defocus_range",)),
    P("refine_ctf_global_refine", "Optimize per-group CTF params", ("refine_group_ctf",)),
    P("crg_num_plots", "groups to plot", (), "What is fitted is kept of every group."),
    P("crg_plot_binfactor", "Binning of plots", (), "Nothing to choose: plots show the band that was fitted."),
    P("crg_min_res_A", "Minimum Fit Res (groups)", ("ctf_min_fit_resolution",)),
    P("crg_do_tilt", "Fit Tilt", ("fit_tilt",)),
    P("crg_do_trefoil", "Fit Trefoil", ("fit_trefoil",)),
    P("crg_do_spherical", "Fit Spherical Aberration", ("fit_spherical",)),
    P("crg_do_tetrafoil", "Fit Tetrafoil", ("fit_tetrafoil",)),
    P("crg_do_anisomag", "Fit Anisotropic Magnification", ("fit_anisotropic_magnification",)),
    P("refine_do_ews_correct", "Do EWS correction", ("ewald_sphere",)),
    P("refine_do_ews_correct_align", "EWS correction also in alignment", (), "Poses are found without it."),
    P("refine_ews_zsign", "EWS curvature sign", ("ewald_sphere",), "The sign is its value."),
    P("refine_ews_simple", "EWS method", (), "Nothing to choose: both half images are laid in, the simple one."),
    P("legacy job", "B-Factor for plotting", ("bfactor", "bfactor_fit_low_A", "bfactor_fit_high_A")),
    P("refine_compute_batch_size", "Computational minibatch size", ("minibatch_size",)),
    P("prepare_window_dataset", "Window dataset (real-space)", (), "Images are masked for alignment by a soft circle "
      "about each particle; for reconstruction they stay whole."),
    P("prepare_window_inner_radius", "Window inner radius", ("particle_diameter_A",), "In A, about the particle, not "
      "the box centre."),
    P("prepare_window_outer_radius", "Window outer radius", ("particle_diameter_A",), "The soft edge is 5 pixels."),
    P("compute_use_ssd", "Cache particle images on SSD", (), "Images stream from where they are, read ahead in file "
      "order; copy them to a fast disk and name it with --images-root."),
    P("random_seed", "Random seed", ("seed",)),
    P("compute_num_gpus", "Number of GPUs", ("threads",), f"{NO_GPU}."),
    P("low_memory_mode", "Low-memory mode", ("minibatch_size", "box_size"), f"{NO_GPU}; --dry-run tells the memory."),
    P("intermediate_plots", "Make intermediate plots", ("intermediate_plots",)),
)  # fmt: skip

CRYOSPARC_NONUNIFORM = CRYOSPARC_HOMOGENEOUS + (
    P("refine_nu_enable", "Non-uniform refine enable", ("nonuniform_enable",)),
    P("refine_nu_filtertype", "Filter type", ("nonuniform_filter_type",), "The filter is that of the FSC, too: each "
      "band is weighed by the FSC of the places that reach it."),
    P("refine_nu_order", "Filter order", ("nonuniform_filter_order",)),
    P("refine_nu_awf", "AWF, adaptive window factor", ("nonuniform_window_factor",), "Width at half height of a "
      "Gaussian window, in wavelengths."),
)  # fmt: skip

CRYOSPARC_RECONSTRUCT = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "With poses."),
    P("refine_N", "Reconstruction box size", ("box_size",)),
    P("refine_symmetry", "Symmetry", ("symmetry",)),
    P("refine_helical_twist, refine_helical_shift, refine_hsym_order", "helical symmetry", (), "Point groups only."),
    P("refine_gs_resplit", "Force re-do GS split", ("force_resplit",)),
    P("refine_do_flip", "Flip the reconstruction hand", (), "Not yet."),
    P("refine_ignore_tilt", "Ignore tilt", ("ignore_tilt",)),
    P("refine_ignore_trefoil", "Ignore trefoil", ("ignore_trefoil",)),
    P("refine_ignore_tetra", "Ignore tetra", ("ignore_tetrafoil",)),
    P("refine_ignore_anisomag", "Ignore anisomag", ("ignore_anisotropic_magnification",)),
    P("recon_do_expand_mask", "Wide mask on the final output", (), "Maps are written unmasked."),
    P("refine_do_ews_correct, refine_ews_zsign, refine_ews_simple", "Ewald-sphere correction", ("ewald_sphere",)),
    P("refine_fsc_mask_opt", "Optimize FSC mask", ("auto_tighten_fsc_mask",)),
    P("FSC masks of version 5", "loose and tight masks in units of the resolution", ("fsc_mask_scaling",
      "fsc_mask_near_factor", "fsc_mask_far_factor"), "--fsc-mask-scaling resolution."),
    P("refine_compute_batch_size", "Computational minibatch size", ("minibatch_size",)),
    P("refine_override_filter, ..._res, ..._order, ..._bfactor", "own filter instead of the FSC's", ("bfactor",),
      "The B-factor; the filter of map.mrc is always that of the FSC, half-maps are unfiltered."),
    P("mask (input)", "Mask", ("mask",), "For the FSC."),
)  # fmt: skip

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

RELION_REFINE = (
    P("--i", "input images", ("particles",)),
    P("--ref", "reference map", ("volume",)),
    P("--o", "output", ("out",), "A folder, not the root of file names."),
    P("--continue", "continue from here", ("resume",)),
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
    P("--angpix", "pixel size", (), "The header of the map says it."),
    P("--mtf", "MTF of the detector", (), "Not offered."),
    P("--o", "output", ("out",)),
)  # fmt: skip

TABLES = (
    Table("cryoSPARC: Homogeneous Refinement", "refine homogeneous", CRYOSPARC_HOMOGENEOUS),
    Table("cryoSPARC: Non-Uniform Refinement", "refine nonuniform", CRYOSPARC_NONUNIFORM),
    Table("cryoSPARC: Homogeneous Reconstruction Only", "reconstruct", CRYOSPARC_RECONSTRUCT),
    Table("cryoSPARC: Import Particle Stack", "import particles", CRYOSPARC_IMPORT),
    Table("RELION: relion_refine (3D auto-refine)", "refine homogeneous", RELION_REFINE),
    Table("RELION: relion_postprocess", "fsc", RELION_POSTPROCESS),
)

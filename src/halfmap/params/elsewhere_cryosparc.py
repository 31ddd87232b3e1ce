"""Where parameters of cryoSPARC's refinements, from a map and from nothing, are found in halfmap, or why not.

Facts from its guide and job specifications up to version 5.
"""

from __future__ import annotations

from halfmap.params.equivalent import NO_GPU, P

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
    P("compute_use_ssd", "Cache particle images on SSD", ("cache_dir", "cache_quota_GB", "cache_reserve_GB"), "The "
      "cache is a folder that the user names, and may be shared."),
    P("random_seed", "Random seed", ("seed",)),
    P("compute_num_gpus", "Number of GPUs", ("threads",), f"{NO_GPU}."),
    P("low_memory_mode", "Low-memory mode", ("minibatch_size", "box_size"), f"{NO_GPU}; --dry-run tells the memory."),
    P("intermediate_plots", "Make intermediate plots", ("intermediate_plots",)),
)  # fmt: skip
LOCAL_FILTER_SETTINGS = (
    P("refine_nu_enable", "Non-uniform refine enable", ("nonuniform_enable",)),
    P("refine_nu_filtertype", "Filter type", ("nonuniform_filter_type",), "The filter is that of the FSC, too: each "
      "band is weighed by the FSC of the places that reach it."),
    P("refine_nu_order", "Filter order", ("nonuniform_filter_order",)),
    P("refine_nu_awf", "AWF, adaptive window factor", ("nonuniform_window_factor",), "Width at half height of a "
      "Gaussian window, in wavelengths."),
)  # fmt: skip
_SHARED = (  # of homogeneous refinement, with the same meaning in a local one
    "refine_N", "refine_symmetry", "refine_do_init_scale_est", "refine_num_final_iterations", "refine_res_align_max",
    "refine_highpass_res", "refine_res_gsfsc_split", "refine_clip", "refine_window", "refine_ignore_tilt",
    "refine_ignore_trefoil", "refine_ignore_tetra", "refine_ignore_anisomag", "refine_scale_start_iter",
    "refine_scale_reset", "refine_noise_model", "refine_noise_priorw", "refine_noise_init_sigmascale",
    "refine_dynamic_mask_thresh_factor", "refine_dynamic_mask_near_ang", "refine_dynamic_mask_far_ang",
    "dynamic mask distances of version 5", "refine_dynamic_mask_start_res", "refine_dynamic_mask_use_abs",
    "FSC masks of version 5", "FSC mask auto-tightening", "refine_do_ews_correct", "legacy job",
    "refine_compute_batch_size", "prepare_window_inner_radius", "random_seed", "compute_num_gpus",
    "intermediate_plots", "compute_use_ssd",
)  # fmt: skip
CRYOSPARC_LOCAL = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "With poses and half-sets."),
    P("volume (input)", "Input volume", ("volume", "half1", "half2"), "A map, or a job folder with its half-maps."),
    P("mask (input)", "Mask", ("mask",), "The file itself makes the mask static; it then judges the FSC, too."),
    P("use_alignment_prior", "Use pose/shift gaussian prior during alignment", ("use_alignment_prior",)),
    P("sigma_prior_r", "Standard deviation of prior over rotation", ("prior_rotation",)),
    P("sigma_prior_s", "Standard deviation of prior over shifts", ("prior_shift",)),
    P("init_r_extent", "Rotation search extent", ("rotation_search_extent",)),
    P("init_s_extent", "Shift search extent", ("shift_search_extent",), "Of the fulcrum."),
    P("fulcrum", "Fulcrum location", ("fulcrum",)),
    P("fulcrum coordinates", "Override fulcrum coordinates", ("fulcrum",), "x,y,z in px, or with an A behind."),
    P("reinitialize_rs", "Re-center rotations each iteration", ("recenter_rotations",)),
    P("reinitialize_ss", "Re-center shifts each iteration", ("recenter_shifts",)),
    P("refine_res_init", "Initial lowpass resolution", ("initial_lowpass",)),
    P("Initialize from input half-maps", "start without low-pass", ("initialize_from_halfmaps",), "Filtered by their "
      "FSC inside the mask."),
    P("refine_gs_resplit", "Force re-do GS split", ("force_resplit",), "Without half-sets in the table a job is "
      "refused unless this is on."),
    P("refine_scale_min", "Minimize over per-particle scale", ("per_particle_scale",), "Off, as there."),
    P("refine_mask", "Mask (dynamic, static)", ("mask",), "dynamic, or the file of a static one."),
    P("refine_do_marg", "Marginalization", ("marginalization",)),
    *LOCAL_FILTER_SETTINGS,
    *(parameter for parameter in CRYOSPARC_HOMOGENEOUS if parameter.name in _SHARED),
)  # fmt: skip
CRYOSPARC_NONUNIFORM = CRYOSPARC_HOMOGENEOUS + LOCAL_FILTER_SETTINGS
CRYOSPARC_RECONSTRUCT = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "With poses."),
    P("refine_N", "Reconstruction box size", ("box_size",)),
    P("refine_symmetry", "Symmetry", ("symmetry",)),
    P("refine_helical_twist, refine_helical_shift, refine_hsym_order", "helical symmetry", (), "Point groups only."),
    P("refine_gs_resplit", "Force re-do GS split", ("force_resplit",)),
    P("refine_do_flip", "Flip the reconstruction hand", (), "`halfmap volume flip`, which turns the poses too."),
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
CRYOSPARC_ABINITIO = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root"), "Poses of the table are not "
      "looked at."),
    P("abinit_K", "Number of Ab-Initio classes", ("classes",)),
    P("abinit_num_particles", "Num particles to use", ("num_particles",), "A random choice, not the first."),
    P("abinit_init_res", "Initial resolution", ("initial_resolution",), "By the diameter, there 35 A."),
    P("abinit_max_res", "Maximum resolution", ("max_resolution", "final_resolution"), "For the steps a tenth of "
      "the diameter, there 12 A; passes of refinement then go on to 12."),
    P("abinit_num_init_iters", "Number of initial iterations", ("num_initial_iterations",), "30, there 200: batches "
      "are larger and the curvature is that of all poses."),
    P("abinit_num_final_iters", "Number of final iterations", ("num_final_iterations",), "60 at most: they end "
      "where nothing more is gained. There 300."),
    P("abinit_radwn_step", "Fourier radius step", ("fourier_radius_step",), "0.08, there 0.04."),
    P("abinit_window", "Window structures in real space", ("window_structure",)),
    P("abinit_center", "Center structures in real space", ("center_structure",)),
    P("abinit_scale_mg_correct", "per-micrograph scales", (), "Refine with --per-particle-scale afterwards."),
    P("abinit_scale_compute", "per-image scales", (), "Refine with --per-particle-scale afterwards."),
    P("abinit_mom", "SGD momentum", (), "Nothing to choose: running sums of several batches take its place."),
    P("abinit_sparsity", "Sparsity prior", (), "Off there, too."),
    P("abinit_minisize_init", "Initial minibatch size", ("initial_minibatch_size",), "200 for every map that grows, "
      "there 90; automatic (there 0) with an epsilon."),
    P("abinit_minisize", "Final minibatch size", ("minibatch_size",), "250 for every map that grows, there 300; "
      "automatic (there 0) with an epsilon."),
    P("abinit_minisize_epsilon", "Minibatch autotune epsilon", ("minibatch_epsilon",), "Noise of the maps over the "
      "maps; none = no autotune, there 0.05."),
    P("abinit_minisize_minp", "Minibatch autotune min class probability", ("minibatch_min_probability",)),
    P("abinit_minisize_num_init_iters", "Initial minibatch size num iters", ("num_initial_iterations",), "The initial "
      "size ends with the initial iterations."),
    P("abinit_noise_model", "Noise model", (), "Symmetric; of the images themselves, whose power is nearly all noise."),
    P("abinit_noise_priorw", "Noise priorw", (), "The noise is not estimated anew while maps grow."),
    P("abinit_noise_initw", "Noise initw", (), "The noise is not estimated anew while maps grow."),
    P("abinit_noise_init_sigmascale", "Noise initial sigma-scale", ("noise_anneal_scale",), "Automatic: by the "
      "target, as there; falls with the initial iterations."),
    P("abinit_target_initial_ess_fraction", "Target 3D ESS fraction", ("target_ess_fraction",), "At least so "
      "many: random blobs leave weight to 0.002 to 0.01 by themselves."),
    P("abinit_class_anneal_beta", "Class similarity", ("class_similarity",)),
    P("abinit_class_anneal_start", "Class similarity anneal start iteration", ("class_anneal_start",)),
    P("abinit_class_anneal_end", "Class similarity anneal end iteration", ("class_anneal_end",)),
    P("abinit_symmetry", "Symmetry", ("symmetry",), "Maps grow in C1 whatever it is; its axes are found in them."),
    P("abinit_high_lr", "Initial learning rate", ("initial_learning_rate", "final_learning_rate")),
    P("abinit_high_lr_duration", "Initial learning rate duration", (), "It falls until the maximum resolution is "
      "reached."),
    P("abinit_nonneg", "Enforce non-negativity", ("non_negative",)),
    P("abinit_ignore_dc", "Ignore DC component", (), "Nothing to choose: DC never takes part."),
    P("abinit_seed_init", "Random seed for initialization", ("seed",)),
    P("abinit_init_radwn_cutoff", "Initial structure lowpass", ("initial_structure_lowpass",)),
    P("abinit_use_engine", "Use fast codepaths", (), "There is one."),
    P("intermediate_plots", "Make intermediate plots", ("intermediate_plots",)),
    P("abinit_highpass_res", "Minimum align resolution", ("min_align_resolution",)),
)  # fmt: skip
_ONE = "One structure: its two half-maps."
CRYOSPARC_ABINITIO_REFINE = tuple(
    {"abinit_K": P("abinit_K", "Number of Ab-Initio classes", (), _ONE),
     "abinit_max_res": P("abinit_max_res", "Maximum resolution", ("max_resolution", "max_align_resolution"),
                         "The first is where the steps end and the alignment of the half-maps begins."),
     "abinit_num_particles": P("abinit_num_particles", "Num particles to use", ("num_particles",), "A random choice; "
                               "none = all, and all are aligned."),
     "abinit_noise_model": P("abinit_noise_model", "Noise model", ("noise_model",), "Of the iterations; each half has "
                             "its own."),
     "abinit_noise_priorw": P("abinit_noise_priorw", "Noise priorw", ("noise_prior_weight",), "Of the iterations."),
     "abinit_noise_init_sigmascale": P("abinit_noise_init_sigmascale", "Noise initial sigma-scale",
                                       ("noise_anneal_scale", "noise_initial_scale"), "The first of the steps, where "
                                       "it falls to 1; the second of steps and iterations, and stays."),
     "abinit_scale_compute": P("abinit_scale_compute", "per-image scales", ("per_particle_scale",)),
     }.get(one.name, P(one.name, one.title, (), _ONE) if one.name.startswith("abinit_class") else one)
    for one in CRYOSPARC_ABINITIO
)  # fmt: skip
_OF_STEPS = {name for one in CRYOSPARC_ABINITIO_REFINE for name in one.settings}
_OF_A_MAP = {  # what only a refinement of a given map has
    "volume", "initial_lowpass", "gsfsc_split_resolution", "reestimate_greyscale", "relax_symmetry", "align_symmetry",
    "early_subsets", "subset_size", "subset_growth", "refine_defocus", "refine_group_ctf", "mask_start_resolution",
    "defocus_min_fit_resolution", "defocus_range", "ctf_min_fit_resolution", "fit_tilt", "fit_trefoil",
    "fit_spherical", "fit_tetrafoil", "fit_anisotropic_magnification",
}  # fmt: skip
CRYOSPARC_HALVES = tuple(one for one in CRYOSPARC_HOMOGENEOUS
                         if one.settings and not set(one.settings) & (_OF_A_MAP | _OF_STEPS))

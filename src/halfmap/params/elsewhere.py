"""Where to find a parameter of cryoSPARC, RELION or Segger: in which setting of halfmap, or why in none.

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

SEGGER = (
    P("Segment map", "the map that is cut", ("volume",)),
    P("volume gaussian sDev", "smoothing before it", ("gaussian_sdev",), "In voxels; there in A."),
    P("Threshold", "density above which voxels belong to regions", ("threshold",), "There the contour level on show."),
    P("Minimum region size, minimum contacts", "what is left out", (), "All regions stay, the smallest have the last "
      "numbers; choose the others."),
    P("Group by smoothing: number of steps", "smoothings that join regions", ("smoothing_steps",)),
    P("Group by smoothing: step size", "standard deviation that a step adds, voxels", ("step_size",)),
    P("Group by smoothing: stop at", "number of regions", ("regions",)),
    P("Group by connectivity", "another way to join regions", (), "By smoothing only; several regions can be chosen."),
    P("Group", "join selected regions", ("choose",), "Name all of them."),
    P("Ungroup", "split a region into what it was made of", ("ungroup",)),
    P("Select, Hide, Delete", "which regions stay", ("choose", "at", "exclude"), "The map file is never changed."),
    P("Save selected regions to .mrc, volume resample onGrid", "the mask base", (), "mask_base.mrc lies on the grid of "
      "the map."),
    P("Dilation radius, Soft padding width", "cryoSPARC Volume Tools", ("dilation", "soft_edge", "resolution_A"),
      "mask.mrc is made of the regions at once, no threshold between."),
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

RELION_IMAGE_HANDLER = (
    P("--i", "input map", ("volume",)),
    P("--new_box", "Rebox the map", ("box_size",)),
    P("--rescale_angpix", "Rescale the map", ("voxel_size_A",), "Any ratio; there the nearest whole box."),
    P("Fix disparities in pixel size precision", "of Change map box and pixel size", ("exact_voxel_size",)),
    P("--force_header_angpix", "pixel size of the header", (), "The header always says the true one."),
    P("--shift_x, --shift_y, --shift_z", "shift", (), "`halfmap volume recenter --shift`."),
    P("--o", "output", ("out",)),
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

RELION_SUBTRACT = (
    P("--i", "particles, or the optimiser file", ("particles",)),
    P("--mask", "what is kept", ("mask",), "The opposite here: what is taken away."),
    P("--revert", "back to the original images", (), "The job halfmap revert."),
    P("--recenter_on_mask, --new_box", "re-centred, smaller images", (), "halfmap downsample afterwards."),
    P("--float16", "16-bit numbers", ("float16",)),
    P("--data", "a subset", (), "Give the table of the subset."),
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

CRYOSPARC_EXPANSION = (
    P("particles (input)", "Particles", ("particles", "passthrough", "images_root")),
    P("symmetry", "Symmetry group", ("symmetry",)),
    P("sym_twist_deg, sym_rise_A, sym_num_rises", "Helical symmetry", (), "Point groups only."),
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
    P("abinit_minisize_init", "Initial minibatch size", ("initial_minibatch_size",), "Automatic: 200 for "
      "every map that grows, there 90."),
    P("abinit_minisize", "Final minibatch size", ("minibatch_size",), "Automatic: 250 for every map that grows, there "
      "300."),
    P("abinit_minisize_epsilon", "Minibatch autotune epsilon", (), "Automatic batches go with the number of maps."),
    P("abinit_minisize_minp", "Minibatch autotune min class probability", (), "Automatic batches go with the number of "
      "maps."),
    P("abinit_minisize_num_init_iters", "Initial minibatch size num iters", ("num_initial_iterations",), "Batches grow "
      "with the end of the initial iterations."),
    P("abinit_noise_model", "Noise model", (), "Symmetric; of the images themselves, whose power is nearly all noise."),
    P("abinit_noise_priorw", "Noise priorw", (), "The noise is not estimated anew while maps grow."),
    P("abinit_noise_initw", "Noise initw", (), "The noise is not estimated anew while maps grow."),
    P("abinit_noise_init_sigmascale", "Noise initial sigma-scale", (), "Not needed: a random map "
      "of few shells leaves per cents of all poses their weight, and inflated noise leaves it a ball."),
    P("abinit_target_initial_ess_fraction", "Target 3D ESS fraction", (), "As before; a plot shows it."),
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
                                       ("noise_initial_scale",), "Of steps and iterations; there above 1."),
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

TABLES = (
    Table("cryoSPARC: Ab-Initio Reconstruction", "abinitio", CRYOSPARC_ABINITIO),
    Table("cryoSPARC: Homogeneous Ab-Initio Refinement (BETA)", "abinitio-refine", CRYOSPARC_ABINITIO_REFINE),
    Table("cryoSPARC: Homogeneous Refinement, where half-maps from nothing are refined", "abinitio-refine",
          CRYOSPARC_HALVES),
    Table("cryoSPARC: Homogeneous Refinement", "refine homogeneous", CRYOSPARC_HOMOGENEOUS),
    Table("cryoSPARC: Local Refinement (New)", "refine local", CRYOSPARC_LOCAL),
    Table("cryoSPARC: Non-Uniform Refinement", "refine nonuniform", CRYOSPARC_NONUNIFORM),
    Table("cryoSPARC: Homogeneous Reconstruction Only", "reconstruct", CRYOSPARC_RECONSTRUCT),
    Table("cryoSPARC: Import Particle Stack", "import particles", CRYOSPARC_IMPORT),
    Table("cryoSPARC: Import 3D Volumes", "import volume", CRYOSPARC_IMPORT_VOLUME),
    Table("cryoSPARC: Volume Tools, filters", "volume filter", CRYOSPARC_FILTER),
    Table("cryoSPARC: Volume Tools, masks", "volume mask", CRYOSPARC_MASK),
    Table("RELION: relion_mask_create", "mask from-map", RELION_MASK),
    Table("RELION: relion_mask_create, several masks", "mask combine", RELION_COMBINE),
    Table("RELION: relion_refine (3D auto-refine)", "refine homogeneous", RELION_REFINE),
    Table("RELION: relion_refine --auto_refine", "refine auto", RELION_AUTO),
    Table("RELION: relion_postprocess", "fsc", RELION_POSTPROCESS),
    Table("ChimeraX: Segment Map (Segger)", "mask segment", SEGGER),
    Table("cryoSPARC: Volume Tools", "volume resample", CRYOSPARC_VOLUME_TOOLS),
    Table("cryoSPARC: Volume Tools, flip hand", "volume flip", CRYOSPARC_FLIP),
    Table("cryoSPARC: Volume Alignment Tools", "volume recenter", CRYOSPARC_VOLUME_ALIGNMENT),
    Table("cryoSPARC: Align 3D Maps", "volume align", CRYOSPARC_ALIGN_3D),
    Table("RELION: relion_image_handler", "volume resample", RELION_IMAGE_HANDLER),
    Table("cryoSPARC: Symmetry Expansion", "symmetry-expand", CRYOSPARC_EXPANSION),
    Table("RELION: relion_preprocess (extraction)", "extract", RELION_EXTRACT),
    Table("cryoSPARC: Downsample Particles", "downsample", CRYOSPARC_DOWNSAMPLE),
    Table("cryoSPARC: Particle Subtraction", "subtract", CRYOSPARC_SUBTRACT),
    Table("RELION: relion_particle_subtract", "subtract", RELION_SUBTRACT),
    Table("RELION: relion_postprocess, sharpening", "sharpen", RELION_SHARPEN),
    Table("cryoSPARC: Validation (FSC)", "fsc", CRYOSPARC_VALIDATION),
    Table("cryoSPARC: Sharpening Tools", "sharpen", CRYOSPARC_SHARPEN),
    Table("cryoSPARC: Local Resolution Estimation", "local-resolution", CRYOSPARC_LOCAL_RESOLUTION),
    Table("cryoSPARC: Local Filtering", "local-filter", CRYOSPARC_LOCAL_FILTER),
    Table("cryoSPARC: Orientation Diagnostics", "orientation", CRYOSPARC_ORIENTATION),
)

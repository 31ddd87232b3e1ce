"""Every setting of every job has a test that shows what it does. The table names it; a setting without one fails.

That a setting changes nothing else is shown for all of a refinement at once by
``test_a_setting_changes_its_part_of_the_recipe_and_no_other``: the parts of a recipe are all a refinement knows.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from halfmap.jobs import catalog
from halfmap.params.abinitio import Growing
from halfmap.params.common import Job, ParticleInput, ParticleJob, ParticleOutput, Refinement
from halfmap.params.curves import CurveSettings
from halfmap.params.refinement import HalfMapRefinement, MapRefinement
from halfmap.params.volumes import VolumeAndParticles, VolumeInput

TESTS = Path(__file__).parents[1]

OF_ALL = {
    "out": "jobs/test_run::test_a_finished_job_leaves_record_events_log_summary_and_report",
    "overwrite": "jobs/test_run::test_a_finished_job_is_replaced_only_when_told_to",
    "resume": "contracts/test_resume::test_a_killed_refinement_resumes_to_the_same_result",
    "seed": "jobs/test_run::test_the_recorded_seed_gives_the_same_random_numbers_again",
    "threads": "jobs/test_run::test_threads_reach_kernels_and_matrix_products",
    "dry_run": "jobs/test_dry_run::test_every_other_job_checks_its_inputs_and_leaves_nothing",
    "device": "params/test_settings::test_a_gpu_that_is_not_supported_is_refused_in_words",
}
OF_PARTICLE_INPUT = OF_ALL | {
    "particles": "cli/test_end_to_end::test_a_refinement_finds_the_poses_and_says_so",
    "passthrough": "jobs/test_tables::test_a_passthrough_file_is_an_input_of_a_job",
    "images_root": "data/test_relion::test_a_given_root_comes_before_the_current_folder",
}
OF_PARTICLE_INPUT |= {
    "cache_dir": "faults/test_cache::test_a_job_reads_its_stacks_through_the_cache",
    "cache_quota_GB": "faults/test_cache::test_the_least_recently_used_gives_way_to_the_quota",
    "cache_reserve_GB": "faults/test_cache::test_the_reserve_of_the_disk_is_left_alone",
}
OF_PARTICLE_OUTPUT = OF_PARTICLE_INPUT | {
    "write_cs": "jobs/test_tables::test_a_cs_file_becomes_the_same_star_file",
}
OF_PARTICLE_JOB = OF_PARTICLE_OUTPUT | {
    "box_size": "refine/test_settings::test_a_smaller_box_makes_smaller_maps_of_the_same_particle",
    "symmetry": "refine/test_settings::test_maps_have_the_symmetry_asked_for_and_no_other",
    "particle_diameter_A": "refine/test_setup::test_the_circle_leaves_room_for_its_edge",
    "force_resplit": "refine/test_loop::test_half_sets_are_drawn_anew_when_asked_for",
    "ignore_tilt": "jobs/test_inputs::test_what_is_to_be_ignored_is_zero_and_all_else_as_the_table_says",
    "ignore_trefoil": "jobs/test_inputs::test_what_is_to_be_ignored_is_zero_and_all_else_as_the_table_says",
    "ignore_tetrafoil": "jobs/test_inputs::test_what_is_to_be_ignored_is_zero_and_all_else_as_the_table_says",
    "ignore_anisotropic_magnification":
        "jobs/test_inputs::test_what_is_to_be_ignored_is_zero_and_all_else_as_the_table_says",
    "ewald_sphere": "refine/test_ewald::test_the_sign_of_the_images_gives_the_best_map_and_the_other_the_worst",
    "bfactor": "jobs/test_results::test_a_negative_bfactor_sharpens",
    "minibatch_size": "refine/test_settings::test_the_size_of_batches_changes_no_map_of_known_poses",
}  # fmt: skip
OF_VOLUME_INPUT = OF_ALL | {
    "volume": "jobs/test_volumes::test_a_job_folder_gives_all_its_volumes",
    **dict.fromkeys(("half1", "half2", "mask"), "jobs/test_volumes::test_given_files_come_before_those_of_the_folder"),
}
OF_VOLUME_AND_PARTICLES = OF_PARTICLE_OUTPUT | OF_VOLUME_INPUT | {
    "particles": "jobs/test_moving::test_poses_moved_along_show_the_moved_map",
}
OF_REFINEMENT = OF_PARTICLE_JOB | {
    "continue_from": "contracts/test_resume::test_a_job_goes_on_from_a_checkpoint_of_another_to_the_same_result",
    "continue_iteration": "jobs/test_auto::test_a_mask_may_be_changed_on_the_way_and_is_on_record",
    "keep_checkpoints": "jobs/test_kept::test_every_checkpoint_stays_where_all_are_wanted",
    "intermediate_plots": "jobs/test_painting::test_plots_of_iterations_are_asked_for_where_wanted_and_their_numbers_"
                          "kept_anyway",
    "write_candidates": "jobs/test_candidates::test_candidates_are_written_only_on_request_and_change_nothing_else",
}  # fmt: skip
OF_CURVES = OF_ALL | {
    "fsc_mask_scaling": "refine/test_masking::test_settings_choose_the_masks_of_the_curves",
    "fsc_mask_near_factor": "validate/test_fsc_masks::test_words_tell_the_distances_of_the_mask",
    "fsc_mask_far_factor": "validate/test_fsc_masks::test_words_tell_the_distances_of_the_mask",
    "auto_tighten_fsc_mask": "validate/test_fsc_report::test_a_search_keeps_the_curve_and_the_mask_from_before",
    "molecular_weight_kDa": "validate/test_fsc_report::test_a_molecular_weight_sets_the_mask_free_curve",
    "bfactor_fit_low_A": "jobs/test_results::test_the_range_of_the_guinier_fit_is_the_one_asked_for",
    "bfactor_fit_high_A": "jobs/test_results::test_the_range_of_the_guinier_fit_is_the_one_asked_for",
}
OF_MAP_REFINEMENT = OF_REFINEMENT | OF_CURVES | {
    "volume": "refine/test_settings::test_a_starting_map_of_another_box_and_voxel_is_the_same_map",
    "initial_lowpass": "refine/test_start::test_both_halves_start_from_the_same_low_passed_map",
    "marginalization": "refine/test_nonuniform::test_a_marginalised_refinement_lays_uncertain_particles_in_at_several_"
                       "poses",
    "max_align_resolution": "refine/test_schedules::test_no_alignment_goes_beyond_the_limit_of_the_user",
    "min_align_resolution": "refine/test_expectation::test_a_pose_does_not_depend_on_shells_that_do_not_align",
    "gsfsc_split_resolution": "refine/test_maximisation::test_beyond_the_split_a_half_knows_nothing_of_the_other",
    "reestimate_greyscale": "refine/test_start::test_the_grey_scale_is_left_alone_where_the_user_says_so",
    "per_particle_scale": "refine/test_settings::test_fitted_scales_are_those_of_the_images",
    "scale_start_iteration": "refine/test_settings::test_scales_are_not_fitted_before_their_iteration",
    "scale_reset": "refine/test_settings::test_scales_of_the_table_are_where_a_refinement_begins_if_not_reset",
    "noise_model": "refine/test_batches::test_noise_that_depends_on_direction_is_white_after_the_coloured_model_only",
    "noise_prior_weight": "refine/test_noises::test_the_weight_of_the_mean_is_what_the_user_says",
    "noise_initial_scale": "refine/test_batches::test_the_first_noise_is_scaled_as_asked",
    "non_negative": "refine/test_maximisation::test_non_negative_references_are_the_usual_ones_without_their_negative_"
                    "density",
    "extra_final_passes": "refine/test_schedules::test_extra_passes_follow_the_last_progress",
    "mask": "refine/test_masking::test_settings_choose_the_mask_of_the_reference",
    "fsc_mask": "refine/test_masking::test_the_fsc_mask_judges_and_leaves_the_reference_alone",
    "window_structure": "refine/test_masking::test_a_window_takes_the_corners_and_leaves_the_rest",
    "dynamic_mask_scaling":
        "refine/test_masking::test_a_scaled_mask_is_the_dynamic_one_with_distances_in_resolutions",
    "dynamic_mask_near": "refine/test_masking::test_a_dynamic_mask_is_one_up_to_near_and_nil_from_far",
    "dynamic_mask_far": "refine/test_masking::test_a_dynamic_mask_is_one_up_to_near_and_nil_from_far",
    "dynamic_mask_near_factor":
        "refine/test_masking::test_a_scaled_mask_is_the_dynamic_one_with_distances_in_resolutions",
    "dynamic_mask_far_factor":
        "refine/test_masking::test_a_scaled_mask_is_the_dynamic_one_with_distances_in_resolutions",
    "dynamic_mask_start_resolution":
        "refine/test_masking::test_the_dynamic_mask_is_a_sphere_until_the_map_is_good_enough",
    "dynamic_mask_threshold": "refine/test_masking::test_a_higher_threshold_never_makes_a_larger_mask",
    "dynamic_mask_use_abs": "refine/test_masking::test_negative_density_counts_where_its_absolute_value_does",
    "candidates": "refine/test_settings::test_so_many_poses_of_the_search_are_kept",
    "max_iterations": "refine/test_schedules::test_the_refinement_ends_at_the_largest_number_of_iterations",
    "relion_files": "jobs/test_relion_files::test_the_setting_decides_what_is_written",
}  # fmt: skip
OF_HALF_MAP_REFINEMENT = {name: test for name, test in OF_MAP_REFINEMENT.items()
                          if name in HalfMapRefinement.model_fields}
HOMOGENEOUS = OF_MAP_REFINEMENT | {
    "align_symmetry": "refine/test_start::test_a_map_off_its_axes_starts_on_them",
    "relax_symmetry": "refine/test_relaxation::test_the_maps_obey_the_group_only_where_it_is_imposed",
    "early_subsets": "refine/test_settings::test_subsets_end_where_a_full_run_ends",
    "subset_size": "refine/test_settings::test_early_iterations_use_a_part_and_the_last_all",
    "subset_growth": "refine/test_schedules::test_a_faster_growth_is_done_sooner",
    "mask_start_resolution": "refine/test_masking::test_a_static_mask_with_a_start_waits_for_its_resolution",
    "refine_defocus": "refine/test_optics::test_defocus_errors_shrink",
    "defocus_range": "align/test_defocus::test_no_change_leaves_the_range",
    "defocus_prior": "align/test_defocus::test_a_prior_draws_uncertain_changes_towards_zero",
    "defocus_min_fit_resolution": "refine/test_optics::test_the_settings_decide_what_is_refined",
    "refine_group_ctf": "refine/test_optics::test_beam_tilt_is_found_by_both_halves_together",
    "ctf_min_fit_resolution": "align/test_aberrations::test_pictures_show_the_fit_inside_the_band_alone",
    "fit_tilt": "align/test_aberrations::test_beam_tilt_is_found_and_no_trefoil_with_it",
    "fit_trefoil": "align/test_aberrations::test_trefoil_is_found",
    "fit_spherical": "align/test_aberrations::test_spherical_aberration_is_found_and_no_tetrafoil_with_it",
    "fit_tetrafoil": "align/test_aberrations::test_tetrafoil_is_found",
    "fit_anisotropic_magnification": "align/test_aberrations::test_anisotropic_magnification_is_found",
    "offset_range_A": "refine/test_settings::test_shifts_are_searched_as_far_as_asked_for",
}  # fmt: skip
A = "refine/test_autorefine::"
AUTO = OF_MAP_REFINEMENT | {
    "align_symmetry": "refine/test_start::test_a_map_off_its_axes_starts_on_them",
    "initial_sampling": A + "test_the_first_search_is_of_all_particles_at_the_step_asked_for",
    "local_searches_from": A + "test_from_the_step_asked_for_searches_are_near_the_known_pose",
    "finer_sampling_faster": A + "test_faster_is_what_the_resolution_needs_at_once",
    "offset_range": A + "test_the_first_search_is_of_all_particles_at_the_step_asked_for",
    "offset_step": A + "test_shifts_are_never_coarser_than_half_the_resolution_of_the_search",
    "force_convergence": "jobs/test_auto::test_the_end_can_be_forced_on_the_way",
    "solvent_flattened_fsc": "refine/test_recipes::test_the_resolution_is_measured_without_a_mask_where_asked_for",
    "weight_particles": "refine/test_junk::test_junk_is_told_from_particles",
    "ctf_correction": "reconstruct/test_transfer::test_without_correction_a_slice_is_multiplied_by_one",
    "ignore_ctf_until_first_peak":
        "reconstruct/test_transfer::test_before_the_first_peak_the_ctf_is_its_envelope_and_beyond_it_itself",
    "zero_mask": "refine/test_surround::test_noise_has_the_spectrum_of_the_images",
}
NONUNIFORM = {
    "nonuniform_enable": "refine/test_recipes::test_without_its_own_parts_it_is_a_homogeneous_refinement",
    "nonuniform_filter_type":
        "reconstruct/test_nonuniform::test_where_every_place_stops_at_one_rung_it_is_a_low_pass_of_the_map",
    "nonuniform_filter_order": "reconstruct/test_nonuniform::test_a_higher_order_is_steeper",
    "nonuniform_window_factor": "reconstruct/test_nonuniform::test_a_wider_window_makes_a_smoother_filter",
}
LOCAL = OF_MAP_REFINEMENT | NONUNIFORM | {
    "half1": "jobs/test_local::test_half_maps_may_be_files_of_their_own",
    "half2": "jobs/test_local::test_half_maps_may_be_files_of_their_own",
    "mask": "jobs/test_local::test_a_mask_is_a_file_or_dynamic",
    "initial_lowpass": "refine/test_local::test_it_begins_at_the_poses_of_the_table_and_the_masked_low_passed_map",
    "initialize_from_halfmaps":
        "refine/test_local::test_half_maps_are_where_each_half_begins_as_far_as_they_agree",
    "rotation_search_extent": "refine/test_local::test_poses_outside_the_extents_are_not_considered",
    "shift_search_extent": "refine/test_local::test_poses_outside_the_extents_are_not_considered",
    "use_alignment_prior": "refine/test_local::test_a_narrower_prior_keeps_poses_nearer_to_the_input",
    "prior_rotation": "refine/test_local::test_a_narrower_prior_keeps_poses_nearer_to_the_input",
    "prior_shift": "refine/test_local::test_a_narrower_prior_keeps_poses_nearer_to_the_input",
    "recenter_rotations": "refine/test_local::test_recentring_lets_poses_leave_the_extents_of_the_input",
    "recenter_shifts": "refine/test_local::test_recentring_lets_poses_leave_the_extents_of_the_input",
    "fulcrum": "refine/test_local::test_a_fulcrum_is_the_centre_of_the_mask_of_the_box_or_a_place_counted_from_the_"
               "corner",
    "force_resplit": "refine/test_local::test_new_half_sets_are_drawn_where_asked_for",
}  # fmt: skip
CURVES_OF_TWO_MAPS = {
    "half1": "cli/test_end_to_end::test_fsc_of_the_half_maps_is_that_of_the_refinement",
    "half2": "cli/test_end_to_end::test_fsc_of_the_half_maps_is_that_of_the_refinement",
    "mask": "validate/test_fsc_report::test_a_given_mask_takes_the_place_of_loose_and_tight",
    "symmetry": "jobs/test_fsc::test_maps_of_a_large_group_have_too_few_values_for_a_tight_mask",
}
V = "jobs/test_validation_jobs::"
OF_VOLUME = OF_ALL | {
    "volume": "jobs/test_volumes::test_a_job_folder_gives_all_its_volumes",
    "half1": "jobs/test_volumes::test_given_files_come_before_those_of_the_folder",
    "half2": "jobs/test_volumes::test_given_files_come_before_those_of_the_folder",
    "mask": "jobs/test_volumes::test_given_files_come_before_those_of_the_folder",
}
OF_TWO_MAPS = {
    "volume": V + "test_two_maps_are_judged_at_0_5_and_agree_with_the_halves_at_0143",
    "against": V + "test_two_maps_are_judged_at_0_5_and_agree_with_the_halves_at_0143",
    "threshold": V + "test_a_threshold_of_the_users_own_is_where_the_resolution_is_read",
    "voxel_size_A": V + "test_a_corrected_voxel_size_stretches_all_frequencies",
}
SHARPEN = {
    "mask": V + "test_another_mask_judges_when_it_is_given",
    "bfactor": V + "test_a_b_factor_given_is_the_one_used",
    "fsc_weighting": V + "test_weights_are_those_asked_for",
    "lowpass": V + "test_the_low_pass_is_where_and_as_steep_as_asked_for",
    "lowpass_order": V + "test_the_low_pass_is_where_and_as_steep_as_asked_for",
    "lowpass_offset": V + "test_an_offset_moves_the_corner_by_shells",
    "mtf": V + "test_an_mtf_is_divided_by_at_its_own_pixel",
    "mtf_pixel_size_A": V + "test_an_mtf_is_divided_by_at_its_own_pixel",
}
LOCAL_RESOLUTION = {
    "mask": V + "test_local_resolution_is_a_map_of_angstrom_in_the_mask",
    "fsc_threshold": V + "test_settings_of_the_local_resolution_reach_it",
    "window_factor": V + "test_settings_of_the_local_resolution_reach_it",
    "step": V + "test_settings_of_the_local_resolution_reach_it",
}
LOCAL_FILTER = {
    "mask": V + "test_outside_a_mask_the_coarsest_resolution_is_taken",
    "local_resolution": V + "test_a_map_is_filtered_to_its_local_resolution",
    "bfactor": V + "test_a_map_is_filtered_to_its_local_resolution",
    "max_resolution": V + "test_a_map_is_filtered_to_its_local_resolution",
}
ORIENTATION = {
    "mask": V + "test_a_mask_changes_what_the_cones_see",
    "particles": V + "test_maps_alone_and_views_alone_are_judged",
    "symmetry": V + "test_symmetry_adds_the_views_of_the_mates",
    "scf_radius": V + "test_radius_and_number_of_particles_reach_the_scf",
    "scf_particles": V + "test_radius_and_number_of_particles_reach_the_scf",
}
IMPORT = {
    "pixel_size_A": "jobs/test_tables::test_given_values_replace_those_of_the_table",
    "voltage_kV": "jobs/test_tables::test_given_values_replace_those_of_the_table",
    "spherical_aberration_mm": "jobs/test_tables::test_given_values_replace_those_of_the_table",
    "amplitude_contrast": "jobs/test_tables::test_given_values_replace_those_of_the_table",
    "contrast": "jobs/test_tables::test_the_contrast_is_the_sign_of_the_ctf_scale",
    "ignore_poses": "jobs/test_tables::test_poses_and_half_sets_can_be_left_out",
    "ignore_halves": "jobs/test_tables::test_poses_and_half_sets_can_be_left_out",
    "ignore_images": "jobs/test_tables::test_a_table_is_converted_without_its_images_when_told_to",
}
CHECK = {
    "quick": "jobs/test_tables::test_quick_reads_no_images",
    "duplicate_distance_A": "data/test_preflight::test_neighbours_in_a_micrograph_are_counted_by_their_distance",
}
STACKS = {"float16": "jobs/test_particle_jobs::test_float16_is_half_the_file_and_differs_by_its_rounding"}
EXPAND = {"symmetry": "jobs/test_particle_jobs::test_a_table_is_expanded_by_the_group_asked_for"}
DOWNSAMPLE = STACKS | {
    "crop": "jobs/test_particle_jobs::test_images_are_cropped_and_padded_in_real_space",
    "box_size": "jobs/test_particle_jobs::test_images_are_cropped_in_fourier_space_and_their_pixel_size_is_the_exact_"
                "quotient",
    "pixel_size_A": "jobs/test_particle_jobs::test_a_pixel_size_asked_for_is_met_to_the_nearest_even_box",
    "recenter": "jobs/test_particle_jobs::test_particles_move_to_the_centre_and_coordinates_with_them",
}  # fmt: skip
EXTRACT = {
    "micrographs": "simulate/test_micrographs::test_coordinates_and_micrographs_tell_what_the_truth_tells_but_for_"
                   "poses",
    "coordinates": "jobs/test_extract::test_boxes_are_what_the_micrograph_shows_at_the_coordinates",
    "particles": "jobs/test_extract::test_refined_particles_keep_poses_halves_and_columns",
    "images_root": "jobs/test_extract::test_images_root_is_where_micrographs_are_looked_for",
    "box_size": "jobs/test_extract::test_boxes_are_what_the_micrograph_shows_at_the_coordinates",
    "rescale": "jobs/test_extract::test_boxes_are_rescaled_and_the_pixel_size_is_the_exact_quotient",
    "float16": "jobs/test_extract::test_boxes_are_rescaled_and_the_pixel_size_is_the_exact_quotient",
    "recenter": "jobs/test_extract::test_recentring_moves_boxes_by_whole_pixels_and_keeps_the_rest",
    "reset_offsets": "jobs/test_extract::test_offsets_are_reset_without_moving_boxes",
    "invert_contrast": "jobs/test_extract::test_protein_is_white_and_the_background_normal_unless_told_otherwise",
    "normalize": "jobs/test_extract::test_protein_is_white_and_the_background_normal_unless_told_otherwise",
    "background_diameter_A": "jobs/test_extract::test_the_background_is_that_outside_the_circle_asked_for",
    "write_cs": "jobs/test_extract::test_refined_particles_keep_poses_halves_and_columns",
}  # fmt: skip
SUBTRACT = STACKS | {
    "volume": "jobs/test_particle_jobs::test_what_is_left_of_an_image_is_its_other_part",
    "half1": "jobs/test_particle_jobs::test_each_particle_loses_what_its_own_half_map_shows",
    "half2": "jobs/test_particle_jobs::test_each_particle_loses_what_its_own_half_map_shows",
    "mask": "jobs/test_particle_jobs::test_what_is_left_of_an_image_is_its_other_part",
    "use_halfmaps": "jobs/test_particle_jobs::test_each_particle_loses_what_its_own_half_map_shows",
    "lowpass": "jobs/test_particle_jobs::test_a_low_passed_map_takes_no_detail_away",
    "reestimate_greyscale": "jobs/test_particle_jobs::test_the_scale_is_told_and_used_unless_it_is_not_wanted",
}
REVERT = {
    "original_poses": "jobs/test_particle_jobs::test_poses_refined_since_a_subtraction_are_kept_unless_told_otherwise",
}
TEMPLATES = {
    "volume": "jobs/test_particle_jobs::test_templates_are_evenly_spaced_projections",
    "n": "jobs/test_particle_jobs::test_templates_are_evenly_spaced_projections",
    **dict.fromkeys(
        ("lowpass", "box_size", "pixel_size_A", "contrast"),
        "jobs/test_particle_jobs::test_templates_have_the_box_pixel_size_contrast_and_resolution_asked_for",
    ),
}
EXPORTS = "jobs/test_export::"
EXPORT = {
    "job": EXPORTS + "test_half_maps_leave_bit_by_bit",
    "to": EXPORTS + "test_half_maps_leave_bit_by_bit",
    "volume": EXPORTS + "test_another_map_may_be_the_primary_one_and_the_level_may_be_given",
    "contour_level": EXPORTS + "test_another_map_may_be_the_primary_one_and_the_level_may_be_given",
    "molecular_weight_kDa": EXPORTS + "test_a_heavier_molecule_gets_a_lower_contour",
    "local_resolution": EXPORTS + "test_a_local_resolution_job_gives_the_range",
    "project": EXPORTS + "test_a_project_that_is_named_is_where_names_start",
    "mtf": EXPORTS + "test_an_mtf_goes_along_and_is_checked",
    "images_root": EXPORTS + "test_images_are_looked_for_below_the_root_given",
    "copy_images": EXPORTS + "test_images_are_copied_when_asked_for",
}
SIMULATE = {
    "micrographs": "simulate/test_micrographs::test_a_box_cut_at_the_coordinates_is_the_image_of_the_particle_turned_"
                   "dark",
    "micrograph_size": "simulate/test_micrographs::test_boxes_lie_inside_and_do_not_overlap",
    "map": "jobs/test_simulate::test_a_map_that_is_given_is_what_the_images_show",
    "domain_fraction": "simulate/test_molecule::test_a_hinged_molecule_is_the_same_one_in_two_parts",
    "n": "cli/test_end_to_end::test_a_simulation_keeps_the_truth_apart",
    "float16": "simulate/test_writing::test_float16_differs_by_its_rounding_only",
    **dict.fromkeys(
        ("box_size", "pixel_size_A", "object_diameter_A", "symmetry"),
        "jobs/test_simulate::test_an_object_has_the_box_pixel_size_diameter_and_symmetry_asked_for",
    ),
    **dict.fromkeys(
        ("snr", "noise_rise", "voltage_kV", "spherical_aberration_mm", "amplitude_contrast", "phase_shift_deg",
         "defocus_min_A", "defocus_max_A", "astigmatism_A", "decay_A2", "beam_tilt_x_mrad", "beam_tilt_y_mrad",
         "odd_zernike", "even_zernike", "magnification_anisotropy", "magnification_axis_deg", "shift_sd_A",
         "contrast_sd", "junk", "optics_groups", "moving", "hinge_x_A", "hinge_y_A", "hinge_z_A", "hinge_angle_deg"),
        "jobs/test_simulate::test_a_setting_changes_its_part_of_the_simulation_and_no_other",
    ),
}  # fmt: skip
VOLUMES, MASKS = "jobs/test_volume_tools", "jobs/test_mask_tools"
IMPORT_VOLUME = {
    "volume": f"{VOLUMES}::test_a_volume_is_linked_under_the_name_of_its_kind",
    "kind": f"{VOLUMES}::test_a_volume_is_linked_under_the_name_of_its_kind",
    "voxel_size_A": f"{VOLUMES}::test_another_voxel_size_is_written_into_a_copy",
    "contrast": f"{VOLUMES}::test_a_dark_map_is_made_white",
}
FILTER = dict.fromkeys(
    ("gaussian_sdev", "lowpass", "highpass", "filter_type", "filter_order"),
    f"{VOLUMES}::test_every_density_is_filtered_as_asked_and_masks_stay",
)
THRESHOLD = dict.fromkeys(
    ("volume", "threshold", "keep_values"), f"{VOLUMES}::test_a_threshold_leaves_ones_or_values"
)
MASK_VOLUME = {
    "resolution_A": f"{MASKS}::test_the_resolution_given_or_of_the_folder_judges_the_edge",
    "invert": f"{MASKS}::test_the_inverse_is_one_less_the_mask_and_inverting_it_gives_the_mask_back",
    **dict.fromkeys(
        ("volume", "threshold", "smallest_island", "fill_holes", "dilation_radius", "soft_padding", "unit"),
        f"{MASKS}::test_a_mask_is_made_by_the_steps_asked_for",
    ),
}
MASK_FROM_MAP = {
    "volume": f"{MASKS}::test_a_mask_from_a_map_holds_the_particle_without_noise_holes_or_specks",
    **dict.fromkeys(
        ("resolution_A", "threshold", "lowpass", "smallest_island", "fill_holes", "dilation_radius", "soft_padding",
         "unit"),
        f"{MASKS}::test_settings_of_a_mask_from_a_map_reach_their_step",
    ),
}
COMBINE = {
    "mask": f"{MASKS}::test_masks_are_combined_as_asked",
    "operation": f"{MASKS}::test_masks_are_combined_as_asked",
    "resolution_A": f"{MASKS}::test_the_resolution_of_a_combination_judges_its_edge",
}
DECIDES = "jobs/test_segment::test_a_setting_decides_which_regions_there_are_and_which_are_chosen"
SEGMENT = {
    "volume": "jobs/test_segment::test_the_folder_of_a_job_is_its_map",
    **dict.fromkeys(
        ("pixel_size_A", "gaussian_sdev", "smoothing_steps", "step_size", "regions", "ungroup", "choose", "at",
         "exclude"),
        DECIDES,
    ),
    "threshold": "jobs/test_segment::test_a_threshold_is_the_one_given_and_by_default_a_tenth_of_the_maximum",
    "dilation": "jobs/test_segment::test_the_mask_is_one_to_the_dilation_and_falls_as_a_cosine",
    "soft_edge": "jobs/test_segment::test_the_soft_edge_is_as_given_or_five_resolutions",
    "resolution_A": "jobs/test_segment::test_the_soft_edge_is_as_given_or_five_resolutions",
}  # fmt: skip
RESAMPLE = {
    "box_size": "jobs/test_resampling::test_a_box_is_cut_in_real_space_and_a_resample_box_in_fourier_space",
    "resample_box_size": "jobs/test_resampling::test_a_box_is_cut_in_real_space_and_a_resample_box_in_fourier_space",
    "voxel_size_A": "jobs/test_resampling::test_voxel_size_and_box_may_both_be_given",
    "exact_voxel_size": "jobs/test_resampling::test_a_rounded_voxel_size_is_told_and_made_exact_on_request",
    "onto": "jobs/test_resampling::test_onto_takes_the_grid_of_the_other_map",
    "use_origin": "jobs/test_resampling::test_a_region_goes_back_where_its_origin_says",
}
RECENTER = {
    "centre": "jobs/test_moving::test_the_three_ways_of_naming_a_centre_agree",
    "shift": "jobs/test_moving::test_the_three_ways_of_naming_a_centre_agree",
    "to_mask": "jobs/test_moving::test_the_three_ways_of_naming_a_centre_agree",
    "adjust_defocus": "data/test_moved::test_the_defocus_changes_by_the_height_of_the_new_centre",
}
ALIGN = {
    "to_symmetry": "jobs/test_moving::test_a_map_and_its_particles_come_onto_their_axes",
    "reference": "jobs/test_moving::test_a_map_its_masks_and_particles_come_onto_a_reference_of_the_other_hand",
    "reference_mask": "align/test_maps::test_a_mask_says_which_part_is_to_agree",
    "test_hand": "align/test_maps::test_the_hand_is_not_looked_for_unless_asked",
    "adjust_defocus": "data/test_moved::test_the_defocus_changes_by_the_height_of_the_new_centre",
}
ABINITIO = {
    "classes": "jobs/test_abinitio::test_classes_have_maps_and_particles_of_their_own",
    "num_particles": "jobs/test_abinitio::test_particles_beyond_the_number_asked_for_are_listed_as_unused",
    "symmetry": "jobs/test_abinitio::test_a_map_is_made_of_particles_alone",
    "particle_diameter_A": "refine/test_setup::test_the_circle_leaves_room_for_its_edge",
    "initial_resolution": "refine/test_annealing::test_resolution_goes_from_the_first_to_the_last",
    "max_resolution": "refine/test_annealing::test_resolution_goes_from_the_first_to_the_last",
    "num_initial_iterations": "refine/test_annealing::test_resolution_goes_from_the_first_to_the_last",
    "num_final_iterations": "refine/test_annealing::test_resolution_goes_from_the_first_to_the_last",
    "fourier_radius_step": "refine/test_annealing::test_the_radius_grows_by_its_step",
    "initial_minibatch_size": "refine/test_recipes::test_a_step_has_as_many_images_for_every_map_that_grows",
    "minibatch_size": "refine/test_recipes::test_a_step_has_as_many_images_for_every_map_that_grows",
    "minibatch_epsilon": "refine/test_recipes::test_the_noise_of_the_maps_says_how_many_images_unless_told",
    "minibatch_min_probability": "refine/test_recipes::test_the_noise_of_the_maps_says_how_many_images_unless_told",
    "initial_learning_rate": "refine/test_annealing::test_the_learning_rate_falls_until_the_last_resolution",
    "final_learning_rate": "refine/test_annealing::test_the_learning_rate_falls_until_the_last_resolution",
    "noise_anneal_scale": "refine/test_stochastic::test_noise_begins_as_much_larger_as_told_and_ends_as_what_it_is",
    "target_ess_fraction": "refine/test_stochastic::test_noise_begins_so_large_that_the_part_of_the_poses_asked_for_"
                           "carries_weight",
    "class_start": "refine/test_recipes::test_classes_split_from_a_consensus_or_grow_on_their_own",
    "class_resolution": "refine/test_recipes::test_classes_split_from_a_consensus_or_grow_on_their_own",
    "class_similarity": "align/test_soft::test_similarity_deals_images_out_evenly",
    "class_anneal_start": "refine/test_annealing::test_classes_part_between_two_steps",
    "class_anneal_end": "refine/test_annealing::test_classes_part_between_two_steps",
    "starts": "refine/test_stochastic::test_of_several_starts_the_one_with_most_evidence_goes_on",
    "initial_structure_lowpass": "refine/test_stochastic::test_first_maps_have_no_more_detail_than_asked_for",
    "offset_range_A": "refine/test_stochastic::test_shifts_are_looked_for_as_far_as_told",
    "min_align_resolution": "refine/test_stochastic::test_data_coarser_than_the_high_pass_do_not_take_part",
    "window_structure": "refine/test_stochastic::test_maps_stay_inside_the_window_unless_it_is_off",
    "center_structure": "refine/test_stochastic::test_maps_are_centred_unless_told_otherwise",
    "non_negative": "refine/test_stochastic::test_maps_are_not_negative_unless_allowed",
    "final_passes": "refine/test_recipes::test_settings_of_an_ab_initio_job_reach_their_parts",
    "final_resolution": "refine/test_recipes::test_settings_of_an_ab_initio_job_reach_their_parts",
    "intermediate_plots": "jobs/test_painting::test_plots_of_iterations_are_asked_for_where_wanted_and_their_numbers_"
                          "kept_anyway",
}  # fmt: skip
ABINITIO_REFINE = {
    "num_particles": "jobs/test_abinitio_refine::test_particles_beyond_the_number_asked_for_are_listed_as_unused",
    "max_restarts": "jobs/test_abinitio_refine::test_the_weaker_half_is_grown_anew_where_the_halves_differ",
    **{name: test for name, test in ABINITIO.items() if name in Growing.model_fields and name != "num_particles"},
}
TABLE = {
    "abinitio": OF_PARTICLE_OUTPUT | ABINITIO,
    "abinitio-refine": OF_HALF_MAP_REFINEMENT | ABINITIO_REFINE,
    "refine homogeneous": HOMOGENEOUS,
    "refine auto": AUTO,
    "refine local": LOCAL,
    "refine nonuniform": HOMOGENEOUS | NONUNIFORM,
    "reconstruct": OF_PARTICLE_JOB | OF_CURVES | {
        "mask": "refine/test_loop::test_the_mask_of_the_user_is_used_as_given_and_judges_the_resolution",
    },
    "fsc": OF_CURVES | CURVES_OF_TWO_MAPS | OF_TWO_MAPS,
    "sharpen": OF_CURVES | OF_VOLUME | SHARPEN,
    "local-resolution": OF_VOLUME | LOCAL_RESOLUTION,
    "local-filter": OF_VOLUME | LOCAL_FILTER,
    "orientation": OF_VOLUME | ORIENTATION,
    "import particles": OF_PARTICLE_OUTPUT | IMPORT,
    "import volume": OF_ALL | IMPORT_VOLUME,
    "volume filter": OF_VOLUME_INPUT | FILTER,
    "volume threshold": OF_ALL | THRESHOLD,
    "volume mask": OF_ALL | MASK_VOLUME,
    "mask from-map": OF_ALL | MASK_FROM_MAP,
    "mask combine": OF_ALL | COMBINE,
    "check particles": OF_PARTICLE_INPUT | CHECK,
    "mask segment": OF_ALL | SEGMENT,
    "volume resample": OF_VOLUME_INPUT | RESAMPLE,
    "volume flip": OF_VOLUME_AND_PARTICLES,
    "volume recenter": OF_VOLUME_AND_PARTICLES | RECENTER,
    "volume align": OF_VOLUME_AND_PARTICLES | ALIGN,
    "symmetry-expand": OF_PARTICLE_OUTPUT | EXPAND,
    "downsample": OF_PARTICLE_OUTPUT | DOWNSAMPLE,
    "extract": OF_ALL | EXTRACT,
    "subtract": OF_PARTICLE_OUTPUT | SUBTRACT,
    "revert": OF_PARTICLE_OUTPUT | REVERT,
    "templates": OF_ALL | TEMPLATES,
    "simulate": OF_ALL | SIMULATE,
    "export": OF_ALL | EXPORT,
    "demo": OF_ALL | {"from_scratch": "jobs/test_abinitio::test_a_demo_from_scratch_grows_its_starting_map"},
}  # fmt: skip


@cache
def runnable(file: str) -> set[str]:
    """Names of the tests in ``tests/FILE.py`` that can run: not those that are skipped whatever happens."""
    tree = ast.parse((TESTS / f"{file}.py").read_text())
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name for node in found if not any("mark.skip" == ast.unparse(d)[-9:] for d in node.decorator_list)}


def settings():
    return [(entry.name, name) for entry in catalog.JOBS for name in entry.params.model_fields]


@pytest.mark.parametrize("job, name", settings())
def test_a_setting_has_a_test_that_shows_what_it_does(job, name):
    where = TABLE.get(job, {}).get(name)
    assert where, f"{job}: {name} has no test; write one that shows what it does and name it in this table"
    file, test = where.split("::")
    assert test in runnable(file), f"{job}: {name}: there is no {test} in tests/{file}.py"


def test_the_table_names_no_setting_that_is_gone():
    known = {entry.name: set(entry.params.model_fields) for entry in catalog.JOBS}
    assert {job: set(names) - known.get(job, set()) for job, names in TABLE.items() if set(names) - known[job]} == {}


@pytest.mark.parametrize(
    "model, table",
    [(Job, OF_ALL), (ParticleInput, OF_PARTICLE_INPUT), (ParticleOutput, OF_PARTICLE_OUTPUT),
     (ParticleJob, OF_PARTICLE_JOB), (Refinement, OF_REFINEMENT), (CurveSettings, OF_CURVES),
     (VolumeInput, OF_VOLUME_INPUT), (VolumeAndParticles, OF_VOLUME_AND_PARTICLES),
     (MapRefinement, OF_MAP_REFINEMENT)],
)  # fmt: skip
def test_shared_settings_are_listed_where_they_are_declared(model, table):
    assert set(table) == set(model.model_fields)

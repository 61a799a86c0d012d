"""Every test of the list in the docstrings, from the first to the 23rd, can fail: formulas broken on purpose.

The long tier runs them, each on a copy of the package with one line changed; the fast one sees to it that the list stays
complete and that the lines still exist. `python -m pytest tests/house/test_mutations.py -m long`
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from docs.paper_map import PROOFS, places

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """In `file`, below src/ddpm, `old` becomes `new`; then `test`, below tests, must fail."""

    proof: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "T1",
        "diffusion/schedule.py",
        "self.one_minus_alpha_bar[1:-1] / self.one_minus_alpha_bar[2:]",
        "self.one_minus_alpha_bar[2:] / self.one_minus_alpha_bar[1:-1]",
        "diffusion/test_schedule.py::test_tables_agree_with_the_reference",
    ),
    Mutation(
        "T2",
        "diffusion/forward.py",
        "+ beta.sqrt() * eps",
        "+ beta * eps",
        "diffusion/test_forward.py::test_a_thousand_steps_are_one_jump",
    ),
    Mutation(
        "T3",
        "diffusion/schedule.py",
        "self.alpha[1:].sqrt() * self.one_minus",
        "self.alpha[1:] * self.one_minus",
        "diffusion/test_forward.py::test_the_posterior_is_bayes_rule",
    ),
    Mutation(
        "T4",
        "diffusion/schedule.py",
        "(0.5 * self.log_alpha_bar[:-1]).exp()",
        "(0.5 * self.log_alpha_bar[1:]).exp()",
        "diffusion/test_schedule.py::test_identities_hold_at_every_t",
    ),
    Mutation(
        "T5",
        "diffusion/gaussian.py",
        "(q.mean - p.mean) ** 2 * (-p.log_var).exp()",
        "(q.mean - p.mean) ** 2 * (-q.log_var).exp()",
        "diffusion/test_gaussian.py::test_kl_agrees_with_the_reference",
    ),
    Mutation(
        "T6",
        "diffusion/decoder.py",
        "half = 1 / (levels - 1)",
        "half = 1 / levels",
        "diffusion/test_decoder.py::test_reference_cases",
    ),
    Mutation(
        "T7",
        "diffusion/objective.py",
        "schedule.beta**2 / (2 * variance",
        "schedule.beta / (2 * variance",
        "diffusion/test_bound.py::test_eq_8_and_12_are_the_divergence",
    ),
    Mutation(
        "T8",
        "diffusion/prediction.py",
        "return a * x - s * output",
        "return a * x + s * output",
        "diffusion/test_reverse.py::test_every_prediction_gives_the_same_bound_and_samples",
    ),
    Mutation(
        "T9",
        "diffusion/estimators.py",
        "Gaussian((1 - beta).sqrt() * x_prev, beta.log())",
        "Gaussian((1 - beta) * x_prev, beta.log())",
        "diffusion/test_estimators.py::test_eq_3_and_eq_21_agree_samplewise_on_a_chain",
    ),
    Mutation(
        "T10",
        "analytic/bound.py",
        "math.sqrt(second_moment)",
        "second_moment",
        "analytic/test_exact.py::test_gaussian_data",
    ),
    Mutation(
        "T10, the evaluator",
        "diffusion/bound.py",
        "prior(p.q, x_0), torch.zeros_like(x_0)",
        "0 * prior(p.q, x_0), torch.zeros_like(x_0)",
        "diffusion/test_bound.py::test_bounds_of_gaussian_data",
    ),
    Mutation(
        "T11",
        "diffusion/bound.py",
        "kl(q.marginal(x_0, q.schedule.T), standard)",
        "kl(standard, q.marginal(x_0, q.schedule.T))",
        "diffusion/test_schedule.py::test_ends_and_prior_agree_with_the_reference",
    ),
    Mutation(
        "T12",
        "diffusion/variance.py",
        "_with_first(schedule.beta, self.first(schedule))",
        "_with_first(2 * schedule.beta, self.first(schedule))",
        "sampling/test_chain.py::test_the_sample_variance_of_gaussian_data",
    ),
    Mutation(
        "T13",
        "analytic/mixture.py",
        "return self.log_weight - 0.5 * each.sum(-1)",
        "return self.log_weight - each.sum(-1)",
        "analytic/test_mixture.py::test_two_point_data",
    ),
    Mutation(
        "T14",
        "analytic/quadrature.py",
        "+ entropy(diffused.marginal(t - 1)) - entropy(diffused.marginal(t))",
        "- entropy(diffused.marginal(t - 1)) + entropy(diffused.marginal(t))",
        "analytic/test_exact.py::test_entropies_and_optimal_variances_of_two_points",
    ),
    Mutation(
        "T15",
        "diffusion/estimators.py",
        '"closed-form": closed_form}',
        '"closed-form": log_ratio}',
        "diffusion/test_estimators.py::test_term_by_term_the_closed_form_varies_least",
    ),
    Mutation(
        "T16",
        "diffusion/objective.py",
        "output, *_ = p.outputs(p.q.sample(x_0, t, eps), t)",
        "output, *_ = [p.outputs(p.q.sample(x_0, t, eps), t)[0] for _ in (1, 2)]",
        "diffusion/test_objective.py::test_one_evaluation_of_the_network",
    ),
    Mutation(
        "T17",
        "diffusion/forward.py",
        "+ noise.sqrt() * eps",
        "+ noise * eps",
        "laboratory/test_errata.py::test_the_formula_as_written_fails_and_ours_passes",
    ),
    Mutation(
        "T18",
        "diffusion/variance.py",
        "schedule.beta_tilde[2] if schedule.T > 1 else schedule.beta[1]",
        "schedule.beta_tilde[min(2, schedule.T)]",
        "diffusion/test_bound.py::test_one_and_two_steps",
    ),
    Mutation(
        "T19",
        "models/layers.py",
        "(half - 1) * torch.arange",
        "half * torch.arange",
        "models/test_unet.py::test_time_embedding_agrees_with_the_reference",
    ),
    Mutation(
        "T20",
        "models/layers.py",
        "channels, eps=1e-6)",
        "channels, eps=1e-6, affine=False)",
        "models/test_unet.py::test_parameter_counts_of_the_paper",
    ),
    Mutation(
        "T21",
        "analytic/bound.py",
        "off = schedule.posterior_x_0[1:] ** 2 * mse_x_0[1:]",
        "off = schedule.posterior_x_0[1:] * mse_x_0[1:]",
        "analytic/test_exact.py::test_rate_and_distortion_of_gaussian_data",
    ),
    Mutation(
        "T22",
        "sampling/latent.py",
        "return (1 - weights) * x_t + weights * x_t_other",
        "return weights * x_t + (1 - weights) * x_t_other",
        "sampling/test_latent.py::test_the_ends_are_the_ends_own_chains",
    ),
    Mutation(
        "T23",
        "analytic/masking.py",
        "return rest / rest.sum(0, keepdim=True)",
        "return rest",
        "analytic/test_exact.py::test_masking_is_an_autoregressive_model",
    ),
    Mutation(
        "the learned schedule",
        "diffusion/learned.py",
        "nn.functional.softplus(self.drops)",
        "self.drops",
        "diffusion/test_learned.py::test_it_begins_at_the_schedule_it_is_given",
    ),
    Mutation(
        "the derivation",
        "laboratory/derivation.py",
        "posterior - model + here - before if",
        "posterior - model + before - here if",
        "laboratory/test_questions.py::test_appendix_a_line_by_line",
    ),
    Mutation(
        "an index that trusts time and size",
        "data/indexing/index.py",
        'for field in ("size", "time", "offset"):',
        'for field in ("offset",):',
        "data/test_index.py::test_only_what_changed_is_looked_at_again",
    ),
    Mutation(
        "the seal of an index",
        "storage/sealed.py",
        "if hashlib.sha256(content[SEAL:]).digest() != content[:SEAL]:",
        "if not content:",
        "data/test_index.py::test_a_damaged_cache_is_built_anew",
    ),
    Mutation(
        "a run goes on with what it began with",
        "data/open.py",
        "same = began.keys() == listings.keys()",
        "same = False",
        "data/test_kept.py::test_all_but_the_lost_image_are_as_they_were",
    ),
    Mutation(
        "the same bytes in the same order",
        "data/indexing/snapshot.py",
        "        at[before] = after\n",
        "        at[before] = -1\n",
        "data/test_kept.py::test_the_same_bytes_in_the_same_order_are_the_same_images",
    ),
    Mutation(
        "held out: what is lost on reading",
        "run/missing_images.py",
        "if too_many(len(lost), len(held_out)) or (number and not len(rows)):",
        "if False:",
        "cli/test_kept.py::test_held_out_images_that_are_found_damaged_on_reading",
    ),
    Mutation(
        "what was lost stays lost",
        "run/session.py",
        'numbers["lost"] = {str(row): reason for row, reason in lost.items()}',
        'numbers["lost"] = {}',
        "cli/test_kept.py::test_what_was_lost_on_the_way_stays_lost",
    ),
    Mutation(
        "the hash of what is read",
        "data/decoding/image_file.py",
        "if hashlib.sha256(data).digest() != sha256:",
        "if not sha256:",
        "data/test_files.py::test_an_image_that_breaks_later_is_replaced",
    ),
    Mutation(
        "who is to blame for a crash",
        "data/decoding/workers.py",
        "deaths, together = deaths + (together == 1), 1",
        "deaths = deaths + 1",
        "data/test_index.py::test_decoders_that_crash_stall_or_eat_memory_cost_a_file_each",
    ),
    Mutation(
        "workers die with their parent",
        "data/decoding/worker.py",
        "ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)",
        "pass",
        "data/test_files.py::test_workers_die_with_their_parent",
    ),
    Mutation(
        "a process computes its own places",
        "data/batches.py",
        "uniform[self.places]",
        "uniform[: len(x)]",
        "data/test_files.py::test_parts_of_a_batch_make_the_whole",
    ),
    Mutation(
        "a substitute by seed and image",
        "data/batches.py",
        'key(self.seed, "instead", row, n) %',
        "int(torch.randint(10**9, ())) %",
        "data/test_files.py::test_an_image_that_breaks_later_is_replaced",
    ),
    Mutation(
        "the shard that an image is in",
        "data/indexing/index.py",
        "Span(self.shards[shard], offset, length)",
        "Span(self.shards[0], offset, length)",
        "data/test_shards.py::test_one_set_in_five_kinds",
    ),
    Mutation(
        "the row group that a row is in",
        "data/decoding/parquet_rows.py",
        'np.searchsorted(footer.ends, row, "right")',
        "np.searchsorted(footer.ends, row)",
        "data/test_shards.py::test_one_set_in_five_kinds",
    ),
    Mutation(
        "the largest picture",
        "data/decoding/picture.py",
        "> MAX_PIXELS:",
        "> 10**12:",
        "data/test_modes.py::test_a_bomb_is_refused_within_64_megabytes",
    ),
    Mutation(
        "kills: the average is forgotten",
        "checkpoints/state.py",
        "weights[name].copy_(meant_for(weights[name], tensor))",
        "pass",
        "cli/test_kills.py::test_twenty_kills",
    ),
    Mutation(
        "kills: the sum of losses is forgotten",
        "run/log.py",
        'sums = {"loss_sum": self._loss_sum,',
        'sums = {"loss_sum": 0.0,',
        "cli/test_kills.py::test_twenty_kills",
    ),
    Mutation(
        "kills: what lies beside a file stays there",
        "run/train.py",
        "        folder.tidy()\n",
        "",
        "cli/test_kills.py::test_what_a_kill_left_beside_a_file_is_removed",
    ),
    Mutation(
        "stops: what is owed is forgotten",
        "run/session.py",
        "self.account.owe(progress)",
        "pass",
        "cli/test_kills.py::test_five_requests_to_stop",
    ),
    Mutation(
        "skips: forgotten by a restart",
        "checkpoints/state.py",
        '"in_a_row": state.in_a_row',
        '"in_a_row": 0',
        "cli/test_processes.py::test_ten_steps_in_a_row_that_are_not_finite_are_allowed",
    ),
    Mutation(
        "skips: none",
        "training/trainer.py",
        "if progress.skipped:",
        "if progress.step < 0:",
        "training/test_trainer.py::test_a_step_that_is_not_finite_changes_nothing",
    ),
    Mutation(
        "processes: noise of the wrong places",
        "training/trainer.py",
        "by_place(x_0, places.start, normal,",
        "by_place(x_0, 0, normal,",
        "cli/test_processes.py::test_the_number_of_processes_changes_nothing",
    ),
    Mutation(
        "processes: a mean for a sum",
        "training/trainer.py",
        "loss * processes",
        "loss",
        "cli/test_processes.py::test_the_number_of_processes_changes_nothing",
    ),
    Mutation(
        "processes: dropout of the wrong places",
        "training/trainer.py",
        '"dropout", step), part.first)',
        '"dropout", step), 0)',
        "cli/test_processes.py::test_the_number_of_processes_changes_nothing",
    ),
    Mutation(
        "lost: nobody watches",
        "parallel/heartbeat.py",
        "self._watching.start()",
        "pass",
        "cli/test_processes.py::test_a_process_that_is_lost_stops_the_others",
    ),
    Mutation(
        "leaving: the first process takes the store along",
        "parallel/heartbeat.py",
        "while self._world.first and time.monotonic() < until:",
        "while False:",
        "cli/test_starting.py::test_who_keeps_the_store_leaves_when_the_others_know_why",
    ),
    Mutation(
        "leaving: a bug is not told",
        "parallel/heartbeat.py",
        "heart.leave(reason or bug)",
        "heart.leave(reason) if reason else bug",
        "cli/test_starting.py::test_who_keeps_the_store_leaves_when_the_others_know_why",
    ),
    Mutation(
        "leaving: silence is all that is noticed",
        "parallel/heartbeat.py",
        "failure = self._told or _lost(rank, self._world)",
        "failure = _lost(rank, self._world)",
        "test_heartbeat.py::test_who_waits_for_one_that_left_ends_as_it_did",
    ),
    Mutation(
        "leaving: who misses a process says nothing",
        "parallel/heartbeat.py",
        "            if rank:",
        "            if False:",
        "test_heartbeat.py::test_who_misses_a_process_tells_the_others",
    ),
    Mutation(
        "leaving: each has its own reason",
        "parallel/heartbeat.py",
        "if stands != own:",
        "if False:",
        "test_heartbeat.py::test_all_end_as_the_first_that_failed",
    ),
    Mutation(
        "leaving: a thread says nothing",
        "run/ending.py",
        "leave(farewell(_too_soon(said[0])))",
        "leave(_too_soon(said[0]))",
        "cli/test_starting.py::test_so_it_does_where_only_a_thread_hears_the_signal",
    ),
    Mutation(
        "leaving: a signal is another reason",
        "run/ending.py",
        "        if leaving():",
        "        if False:",
        "cli/test_starting.py::test_a_signal_is_no_other_reason",
    ),
    Mutation(
        "leaving: a stop is no end in order",
        "run/ending.py",
        "halted = event",
        "raise stop.failure(event.step)",
        "cli/test_starting.py::test_a_run_that_stops_is_read_to_its_end",
    ),
    Mutation(
        "leaving: who was never heard of",
        "parallel/heartbeat.py",
        "self._quiet(since):",
        "self._quiet():",
        "test_heartbeat.py::test_an_exchange_fails_with_one_that_was_never_heard_of",
    ),
    Mutation(
        "leaving: the store is gone",
        "parallel/heartbeat.py",
        "self._told = self._told or _store_lost(self._world)",
        "self._told = _store_lost(self._world) if not self.leaving else None",
        "test_heartbeat.py::test_an_exchange_fails_with_one_that_was_never_heard_of",
    ),
    Mutation(
        "leaving: old news",
        "parallel/world.py",
        'visit = f"{attempt()}-{next(_VISITS)}"',
        'visit = "0"',
        "cli/test_starting.py::test_started_again_by_torchrun",
    ),
    Mutation(
        "lost: a run that goes on draws anew",
        "training/trainer.py",
        "    for step in range(state.step, recipe.steps):\n",
        "    recipe = replace(recipe, seed=recipe.seed + state.step)\n    for step in range(state.step, recipe.steps):\n",
        "cli/test_processes.py::test_a_process_that_is_lost_stops_the_others",
    ),
    Mutation(
        "kills: in shards, a moment of Adam is forgotten",
        "checkpoints/state.py",
        'moments[f"{moment}.{name}"])',
        'moments[f"{moment}.{name}"] * (not (hasattr(parameter, "full_tensor") and moment == "exp_avg_sq")))',
        "cli/test_kills.py::test_five_requests_to_stop",
    ),
    Mutation(
        "the sum over processes",
        "training/trainer.py",
        "scale(loss * processes)",
        "scale(loss)",
        "cli/test_shards.py::test_shards_are_the_same_training",
    ),
    Mutation(
        "every average of the weights",
        "training/trainer.py",
        "in recipe.averages.items():",
        "in [*recipe.averages.items()][:1]:",
        "cli/test_averages.py::test_each_average_is_its_own",
    ),
]

FILES = [
    Mutation(
        "durability: no flush of a file",
        "storage/durable.py",
        '        _announce(Operation("sync", path))\n        os.fsync(descriptor)\n    finally:',
        "    finally:",
        "training/test_durability.py::test_what_was_not_flushed_may_be_lost",
    ),
    Mutation(
        "durability: a flush that is none",
        "storage/durable.py",
        "        os.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n\n\ndef _pieces",
        "        descriptor\n    finally:\n        os.close(descriptor)\n\n\ndef _pieces",
        "training/test_durability.py::test_what_is_announced_as_flushed_is_flushed",
    ),
    Mutation(
        "durability: no flush of the folder",
        "checkpoints/writing.py",
        "        durable.sync_folder(temporary)\n",
        "",
        "training/test_durability.py::test_what_was_not_flushed_may_be_lost",
    ),
    Mutation(
        "durability: no flush of the new name",
        "checkpoints/writing.py",
        "        durable.rename(temporary, target)\n        durable.sync_folder(checkpoints)\n",
        "        durable.rename(temporary, target)\n",
        "training/test_durability.py::test_what_was_not_flushed_may_be_lost",
    ),
    Mutation(
        "durability: no flush before a removal",
        "checkpoints/retention.py",
        "            durable.sync_folder(self.checkpoints)  # or half",
        "            pass  # or half",
        "training/test_durability.py::test_what_was_not_flushed_may_be_lost",
    ),
    Mutation(
        "durability: written in place",
        "checkpoints/writing.py",
        'temporary = checkpoints / f".tmp-{folder_name(step)}-{os.getpid()}"',
        "temporary = target",
        "training/test_durability.py::test_a_crash_at_any_file_operation_leaves_the_old_or_the_new",
    ),
    Mutation(
        "durability: removed under its name",
        "checkpoints/retention.py",
        "            durable.rename(whole[found], trash)\n",
        "            trash = whole[found]\n",
        "training/test_durability.py::test_a_kill_at_any_file_operation_leaves_the_old_or_the_new",
    ),
    Mutation(
        "durability: not read back",
        "checkpoints/writing.py",
        "if reason := damage(temporary):",
        'if reason := "":',
        "training/test_durability.py::test_what_was_written_is_read_back_before_an_older_one_goes",
    ),
    Mutation(
        "durability: damaged ones counted",
        "checkpoints/retention.py",
        "if not self._damage(folder)]",
        "]",
        "training/test_durability.py::test_retention_counts_whole_ones_and_by_number",
    ),
    Mutation(
        "durability: the best may go",
        "checkpoints/retention.py",
        "    if known:\n",
        "    if False:\n",
        "training/test_durability.py::test_what_stays",
    ),
    Mutation(
        "integrity: no seal",
        "checkpoints/manifest.py",
        "    if sealed(rest) != data:\n",
        "    if False:\n",
        "training/test_durability.py::test_a_flipped_bit_is_noticed",
    ),
    Mutation(
        "integrity: no digest",
        "checkpoints/reading.py",
        "len(data) == facts.bytes and hashlib.sha256(data).hexdigest() == facts.sha256",
        "len(data) == facts.bytes",
        "training/test_durability.py::test_a_flipped_bit_is_noticed",
    ),
    Mutation(
        "integrity: another network before damage",
        "checkpoints/reading.py",
        "        _require_digests(folder, manifest)  # a damaged",
        "        # a damaged",
        "training/test_durability.py::test_a_flipped_bit_is_noticed",
    ),
    Mutation(
        "integrity: NaN is written",
        "checkpoints/writing.py",
        "        if odd := not_finite(named):\n",
        "        if odd := []:\n",
        "training/test_durability.py::test_no_checkpoint_holds_what_is_not_finite",
    ),
    Mutation(
        "integrity: NaN is read",
        "checkpoints/reading.py",
        "        if odd := not_finite(named):\n",
        "        if odd := []:\n",
        "training/test_durability.py::test_no_checkpoint_holds_what_is_not_finite",
    ),
    Mutation(
        "saver: no copy",
        "checkpoints/background.py",
        "copy=True)",
        "copy=False)",
        "training/test_saver.py::test_training_goes_on_while_it_is_written",
    ),
    Mutation(
        "saver: old ones first",
        "checkpoints/background.py",
        "            path = writing.write(",
        "            self._retire(save, newest=2)\n            path = writing.write(",
        "training/test_saver.py::test_nothing_goes_before_the_new_one_is_there",
    ),
    Mutation(
        "saver: the end does not wait",
        "checkpoints/background.py",
        "            if self._running is not None:\n                self._running.thread.join()\n",
        "            pass\n",
        "training/test_saver.py::test_the_end_waits_for_the_save",
    ),
    Mutation(
        "saver: a lost error",
        "checkpoints/background.py",
        "        if self._failures >= PATIENCE:\n",
        "        if self._failures > PATIENCE:\n",
        "training/test_saver.py::test_three_failures_in_a_row_are_the_end",
    ),
    Mutation(
        "saver: a lost last error",
        "checkpoints/background.py",
        "        if not any(isinstance(outcome, Wrote) for outcome in outcomes):\n",
        "        if not outcomes:\n",
        "training/test_saver.py::test_a_failure_of_the_last_save_is_the_end",
    ),
    Mutation(
        "saver: no room made",
        "checkpoints/background.py",
        "            if self._full:\n                self._retire",
        "            if False:\n                self._retire",
        "training/test_saver.py::test_the_last_save_is_tried_again_on_the_room_of_old_ones",
    ),
    Mutation(
        "saver: no room asked for",
        "checkpoints/background.py",
        "    if needed > free:\n",
        "    if free < 0:\n",
        "training/test_saver.py::test_room_is_asked_for_before",
    ),
    Mutation(
        "hostile: holes",
        "storage/tensorfile.py",
        "        if entry.begin != end:\n",
        "        if entry.begin < end:\n",
        "storage/test_hostile.py::test_a_hostile_header_is_refused",
    ),
    Mutation(
        "hostile: overlaps",
        "storage/tensorfile.py",
        "        if entry.begin != end:\n",
        "        if entry.begin > end:\n",
        "storage/test_hostile.py::test_a_hostile_header_is_refused",
    ),
    Mutation(
        "hostile: any size",
        "storage/tensorfile.py",
        "    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:\n",
        "    if end < begin:\n",
        "storage/test_hostile.py::test_a_hostile_header_is_refused",
    ),
    Mutation(
        "hostile: any number of tensors",
        "storage/tensorfile.py",
        "    if len(values) > TENSORS:\n",
        "    if len(values) > 2 * TENSORS:\n",
        "storage/test_hostile.py::test_a_hostile_header_is_refused",
    ),
    Mutation(
        "hostile: equal names",
        "storage/strict.py",
        "            object_pairs_hook=_unique,\n",
        "",
        "storage/test_hostile.py::test_what_is_no_json_is_refused",
    ),
    Mutation(
        "hostile: NaN",
        "storage/strict.py",
        "            parse_constant=_refused,\n",
        "",
        "storage/test_hostile.py::test_what_is_no_json_is_refused",
    ),
    Mutation(
        "hostile: links",
        "storage/plain.py",
        "os.O_RDONLY | os.O_NOFOLLOW |",
        "os.O_RDONLY |",
        "storage/test_hostile.py::test_only_plain_files_are_read",
    ),
    Mutation(
        "hostile: names that lead out",
        "checkpoints/manifest.py",
        "if not PLAIN.fullmatch(name) or name == NAME:",
        "if name == NAME:",
        "cli/test_hostile.py::test_a_manifest_names_plain_files_in_its_folder_only",
    ),
    Mutation(
        "hostile: the count is wrong",
        "models/unet.py",
        "return 10 + 2 * (a != b) + 10 * attends",
        "return 10 + 10 * attends",
        "cli/test_hostile.py::test_counting_is_building",
    ),
    Mutation(
        "noise: of the part, not of the place",
        "seeds.py",
        "for number, rows in enumerate(drawn.split(SEGMENT), start=begin):",
        "for number, rows in enumerate(drawn.split(SEGMENT)):",
        "test_seeds.py::test_a_part_of_a_batch_has_the_numbers_of_the_whole",
    ),
    Mutation(
        "noise: the same for every segment",
        "seeds.py",
        "generator(*names, number, device",
        "generator(*names, device",
        "test_seeds.py::test_names_and_places_have_numbers_of_their_own",
    ),
    Mutation(
        "retention: what was read back is read again",
        "checkpoints/background.py",
        "            self._keeper.trust(path)\n",
        "",
        "training/test_durability.py::test_what_was_read_back_is_not_read_again",
    ),
    Mutation(
        "data: every process looks at once",
        "parallel/world.py",
        "(self.first, local_number() == 0, True)",
        "(self.first, True, True)",
        "test_distributed.py::test_the_first_of_a_machine_does_what_the_rest_of_it_will_find",
    ),
    Mutation(
        "hub: what is uploaded later",
        "data/sources/hub.py",
        "revision=name.commit,",
        "revision=name.revision or None,",
        "data/test_hub.py::test_a_name_is_the_newest_and_a_commit_stays",
    ),
    Mutation(
        "hub: some of the images",
        "data/sources/hub.py",
        "*{_in_any_case(suffix)}",
        "*{suffix}",
        "data/test_hub.py::test_every_image_is_fetched",
    ),
    Mutation(
        "verify: promises what training does not",
        "run/verify.py",
        "[v for v in verdicts if v.worth != DAMAGED]",
        "[v for v in verdicts if v.worth == WHOLE]",
        "cli/test_verdicts.py::test_what_training_stops_at",
    ),
    Mutation(
        "hostile: what JSON cannot hold",
        "experiment/settings.py",
        "if isinstance(number, float) and not math.isfinite(number):",
        "if False:",
        "cli/test_words.py::test_a_value_that_cannot_be",
    ),
    Mutation(
        "files: a name before its bytes",
        "storage/atomic.py",
        "        durable.sync(temporary)\n",
        "",
        "cli/test_hostile.py::test_files_of_users_are_flushed_before_they_take_their_place",
    ),
    Mutation(
        "few steps: the mean of the whole chain",
        "diffusion/prediction.py",
        "whole, t = schedule.whole, _kept(schedule, t)\n        return (output",
        "whole = schedule\n        return (output",
        "diffusion/test_reverse.py::test_fewer_steps_are_the_same_estimates",
    ),
    Mutation(
        "few steps: the decoder's own variance",
        "diffusion/variance.py",
        "return table if self.first is None else _with_first(table, self.first[1])",
        "return table",
        "sampling/test_optimal.py::test_the_decoder_has_the_best_variance_too",
    ),
    Mutation(
        "few steps: nothing left of the image",
        "evaluation/curve.py",
        "float(1 / p.schedule.snr[t])",
        "1 / float(p.schedule.snr[t])",
        "sampling/test_optimal.py::test_where_nothing_is_left_of_the_image_or_nothing_of_the_error",
    ),
    Mutation(
        "few steps: pairs from a jump",
        "sampling/inpaint.py",
        "_since_the_last_jump(here, places)",
        "here",
        "sampling/test_inpaint.py::test_a_jump_up_is_a_new_beginning",
    ),
    Mutation(
        "outputs: a run is not overwritten",
        "cli/outputs.py",
        "if RunFolder(folder).needs(path):",
        "if False:",
        "cli/test_outputs.py::test_a_run_is_not_overwritten",
    ),
    Mutation(
        "outputs: what is read",
        "cli/outputs.py",
        "if path in read:",
        "if False:",
        "cli/test_outputs.py::test_what_is_read_is_not_overwritten",
    ),
]
"""What is promised of files, switched off one at a time."""
MUTATIONS += FILES


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.proof)
def test_the_line_still_exists(mutation):
    file, _, function = mutation.test.partition("::")
    assert (ROOT / "src" / "ddpm" / mutation.file).read_text().count(mutation.old) == 1
    assert f"def {function}(" in (ROOT / "tests" / file).read_text()


def test_every_proof_has_a_mutation_of_its_own():
    """The test that has to fail is one whose docstring says that it is T-n."""
    tests = {f"{place.path.removeprefix('tests/')}::{place.name}": place.labels for place in places("tests")}
    found = {m.proof: m.test for m in MUTATIONS if re.fullmatch(r"T\d+", m.proof)}
    assert set(found) == set(PROOFS)
    assert all(proof in tests[test] for proof, test in found.items())


def _run(package, *nodes):
    """The tests on a package that lies elsewhere."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *(f"tests/{node}" for node in nodes)]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_an_unbroken_copy_passes(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    said = _run(tmp_path / "src", *sorted({mutation.test for mutation in MUTATIONS}))
    assert said.returncode == 0, said.stdout[-2000:]


@pytest.mark.long
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.proof)
def test_a_broken_formula_is_noticed(tmp_path, mutation):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "src" / "ddpm" / mutation.file
    path.write_text(path.read_text().replace(mutation.old, mutation.new))
    said = _run(tmp_path / "src", mutation.test)
    assert said.returncode == 1, said.stdout[-2000:]
    assert "FAILED tests/" in said.stdout, said.stdout[-2000:]

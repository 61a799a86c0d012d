"""What README promises, sentence by sentence, and the test of each; a sentence that changes, or is new, is noticed."""

import re
from pathlib import Path

T = "sampling/test_chain.py::"
D = "checkpoints/test_durability.py::"
ROOT = Path(__file__).resolve().parents[2]
PROMISES = {
    "The decoder is exact in its tails too": "diffusion/test_decoder.py::test_no_clamp_and_no_dead_gradient_in_the_tail",
    "every image counts once": "evaluation/test_rate.py::test_an_image_counts_exactly_once",
    "another batch size changes no bit (on a CPU, with 1, 2 or 4 threads)": (
        "evaluation/test_rate.py::test_the_batch_size_changes_no_bit"
    ),
    "20-digit references agree": "diffusion/test_decoder.py::test_reference_cases",
    "With an exact denoiser the samples have the closed form's variance": T
    + "test_the_sample_variance_of_gaussian_data",
    "image i is the same to the bit in every batch (on such a CPU)": (
        "sampling/test_seeds.py::test_an_image_is_the_same_to_the_bit_in_batches_of_1_7_and_64"
    ),
    "Training continues where it stopped, to the bit": "run/test_kills.py::test_kills_at_every_kind_of_moment",
    "after Ctrl-C": "run/test_kills.py::test_requests_to_stop_at_every_kind_of_moment",
    "`kill -9`": "run/test_kills.py::test_kills_at_every_kind_of_moment",
    "a loss of power": D + "test_what_was_not_flushed_may_be_lost",
    "Several processes train as one": "parallel/test_processes.py::test_the_number_of_processes_changes_nothing",
    "as copies or in shards": "parallel/test_shards.py::test_shards_are_the_same_training",
    "the number of processes may change on the way": "parallel/test_shards.py::test_shards_copies_and_one_process_in_turn",
    "safetensors and JSON": "storage/test_hostile.py::test_others_read_what_is_written_and_the_other_way",
    "never pickle": "house/test_house.py::test_the_library_neither_prints_nor_unpickles",
    "a checkpoint is whole, or it is not used": D + "test_a_crash_at_any_file_operation_leaves_the_old_or_the_new",
    "An error is one line": "cli/test_errors.py::test_wrong_usage",
    "with what to do below it": "house/test_hints.py::test_every_hint_is_followed",
    "an exit code that scripts can rely on": "house/test_docs.py::test_every_exit_code_is_on_the_page",
    "the same command again continues": "run/test_kills.py::test_kills_at_every_kind_of_moment",
    "image i depends on the seed and on i alone": "sampling/test_seeds.py::test_a_run_is_cut_in_two_processes",
    "what `ddpm train` does": "test_api.py::test_training_is_that_of_the_command",
    "the exact answer for data from N(0, I)": "house/test_house.py::test_the_readme_runs",
    "Algorithm 2, one step at a time": T + "test_algorithm_2_to_the_letter",
    "entry 0 of every table is the clean image": "diffusion/test_schedule.py::test_identities_hold_at_every_t",
    "Eq. 5 on images that were held out": "evaluation/test_rate.py::test_it_is_the_sum_of_the_terms",
}


def _plain(text):
    return " ".join(text.replace("**", "").split())


def test_each_promise_stands_in_the_readme_and_has_its_test():
    readme = _plain((ROOT / "README.md").read_text(encoding="utf-8"))
    for promise, place in PROMISES.items():
        assert promise in readme, promise
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), place


def test_no_guarantee_is_without_a_test():
    """Each sentence of "What you can trust", but for its headings and links, is made of promises that are listed."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## What you can trust")[1].split("\n## ")[0]
    items = re.findall(r"^\d\. (.*?)(?=^\d\. |\n\n)", text, re.DOTALL | re.MULTILINE)
    assert len(items) > 4
    for item in items:
        left = _plain(re.sub(r"\[[^]]*\]\([^)]*\)", "", item))
        for promise in sorted(PROMISES, key=len, reverse=True):
            left = left.replace(promise, "")
        for heading in ("The bound is exact.", "Sampling does what the formulas say.", "Files are safe."):
            left = left.replace(heading, "")
        assert not set(re.findall(r"\w+", left)) - {"and", "or"}, left

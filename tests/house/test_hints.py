"""No hint without a test that follows it: every one in the source is met in `tests/cli/test_hints.py`, or it is said here why not."""

import ast
import functools
import tomllib
from pathlib import Path

import pytest

from ddpm import errors
from ddpm.cli.terminal.console import as_flags

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.Ending)}
GAP = "{}"
"""Stands for what is filled in when the hint is given."""
ELSEWHERE = {
    "--budget 1h trains for an hour": "run/test_budget.py::test_who_says_how_long_is_not_asked",
    "--steps {} begins it all the same": "run/test_budget.py::test_who_says_how_long_is_not_asked",
    "--precision fp32 measures it": "cli/test_precision.py::test_what_is_measured_in_fp32_alone",
    "known are a folder of diffusers": "interop/test_hostile.py::test_the_exit_code",
    "--resolution 32 says it": "interop/test_files.py::test_the_port",
    "--flags are those of its training": "interop/test_files.py::test_openai_from_the_command",
    "the weights of its GaussianDiffusion have both": "interop/test_lucidrains.py::test_files_that_are_wrong",
    "--flags of '--objective pred_v'": "interop/test_lucidrains.py::test_the_prediction_is_told_where_nothing_tells_it",
    "hf:OWNER/NAME/FILE reads one of": "interop/test_hub.py::test_a_folder_or_a_file_of_it",
    "begins a new run with its weights": "interop/test_shipped.py::test_a_new_run_begins_with_it",
    "RUN makes a run folder of it": "interop/test_shipped.py::test_a_run_folder_of_it",
    "DDPM_CACHE names another folder": "interop/test_shipped.py::test_where_no_cache_can_be_made",
    "for example: ddpm lab Q20": "laboratory/test_notes.py::test_a_number_that_there_is_not_says_which_there_are",
    "for example: ddpm lab {}": "laboratory/test_notes.py::test_a_number_that_there_is_not_says_which_there_are",
    "make room on the disk": "cli/test_hostile.py::test_a_full_disk_stops_training_only_at_the_end",
    "{} --help": "cli/test_hints.py::test_did_you_mean",
    "the same command with --first {} --num {}": "cli/test_errors.py::test_a_run_of_samples_goes_on_in_its_folder",
    "the traceback is in": "cli/test_errors.py::test_our_own_bugs_leave_a_traceback_in_a_file",
    "run the same command again to go on": "run/test_kills.py::test_requests_to_stop_at_every_kind_of_moment",
    "give one of them: {}": "data/sources/test_hub.py::test_what_cannot_be_had",
    "expected names such as train-images-idx3-ubyte.gz": "data/sources/test_sources.py::test_idx",
    "without a test split the validation images are it": (
        "data/sources/test_folder.py::test_without_a_test_split_the_validation_images_are_it"
    ),
    "changes it from here on": "run/test_going_on.py::test_of_another_learning_rate_the_hint_is_the_change",
    "changes it from step {} on instead": (
        "run/test_going_on.py::test_the_same_change_from_an_older_checkpoint_asks_from_which_step_on"
    ),
    "put back into config.json what was": "run/test_binding.py::test_the_instance_with_which_it_began",
    "reads the weights otherwise on purpose": "run/test_binding.py::test_readings_that_are_meant_stay",
    "reads images with as many channels as it was trained on": (
        "run/test_fine_tune.py::test_colour_for_grey_is_named_and_the_hint_works"
    ),
    "says what a new run trains on": "run/test_going_on.py::test_there_must_be_a_run",
    "of a file --set data.layout={} says it": "data/sources/test_npz.py::test_channels_that_could_be_on_two_axes",
    "array[None] is one image, array[:, None] are grey images": (
        "data/sources/test_npz.py::test_one_colour_picture_with_its_channels_first_is_not_read_as_grey_ones"
    ),
    "array.astype(numpy.{}) has the same values": (
        "data/sources/test_npz.py::test_of_whole_numbers_of_another_type_the_way_is_named"
    ),
    "if these are all values that there are": (
        "trained/test_own_samples.py::test_images_that_are_all_but_black_are_refused_until_they_are_meant"
    ),
    "if they are meant to be so dark": (
        "trained/test_own_samples.py::test_images_that_are_all_but_black_are_refused_until_they_are_meant"
    ),
    'an array "classes" in the npz says': "trained/test_own_samples.py::test_numbers_of_classes_are_not_taken_for_names",
    "p with decoder=ddpm.discretised({}) scores them": "test_api.py::test_a_bound_is_that_of_the_decoder_that_p_has",
    "the others differ in size: {}": "cli/test_hints.py::test_broken_files_and_several_sizes",
    "--timestep {} leaves the least of the image": "cli/test_hints.py::test_values_that_are_missing_or_too_large",
    "--timestep 1 leaves the most of the image": "cli/test_hints.py::test_values_that_are_missing_or_too_large",
    "ddpm lab {}": "cli/test_lab_own.py::test_the_hints_hold",
    "ddpm lab table-2 --budget 3m": "cli/test_lab_own.py::test_the_hints_hold",
    "--run RUN names the run": "cli/test_lab_own.py::test_the_hints_hold",
    "--data SOURCE names other images": "cli/test_lab_own.py::test_data_that_are_gone",
    "num_samples=1000 draws 1000 images": (
        "cli/test_compare.py::test_a_call_that_draws_nothing_takes_nothing_of_samples"
    ),
    "--num-samples {} draws {} images": "cli/test_compare.py::test_what_is_of_samples_needs_some",
    "--metrics fid needs fewer": "cli/test_distance.py::test_the_hints_hold",
    "--metrics fid takes moments": "cli/test_distance.py::test_the_hints_hold",
    "--features digits has them": "cli/test_distance.py::test_the_hints_hold",
    "--save-moments is of images": "cli/test_distance.py::test_the_hints_hold",
    "torch.jit.save writes TorchScript": (
        "evaluation/images/features/test_extractors.py::test_a_torchscript_file_makes_features"
    ),
    "--output DIR takes them": "cli/test_compress.py::test_several_images_are_not_one_file",
    "run it once for each": "cli/test_compress.py::test_several_images_are_not_one_file",
    "give another --output, or remove it": "cli/test_compress.py::test_nothing_is_overwritten",
    "copy it from the run that wrote the files": (
        "cli/test_compress.py::test_a_model_that_coded_nothing_is_not_given_a_profile"
    ),
    "name the model that wrote it": "cli/test_compress.py::test_a_file_of_another_model_is_read_by_its_own",
    "`--json -` is standard output": "cli/test_outputs.py::test_a_device_or_a_pipe_is_not_replaced_by_a_file",
    "ddpm inspect says which of its images": "cli/test_archive.py::test_what_is_left_of_an_archive_that_was_cut",
    "--bits-per-pixel {} holds it": "cli/test_compress.py::test_values_that_make_no_sense",
    "remove it to make a new one": "cli/test_compress.py::test_a_profile_of_other_weights",
    "name the files in it": "cli/test_compress.py::test_a_folder_of_files",
    "decompress those of each size alone": "cli/test_compress.py::test_in_python",
    "looks at the other checkpoints": "run/test_verdicts.py::test_of_one_checkpoint_nothing_is_promised",
}
"""Hints that another test follows, by a part of them."""
TOLD = {
    "{} checkpoints of {} bytes are kept": "why so much room is needed",
    "begin anew with a smaller --lr": "whether a smaller one converges is not for us to promise",
    "please report it": "to whom this copy came from",
    "the last checkpoint stands: the same command goes on once they are back": "tests/run/test_kills.py goes on from each",
    "weights-inception-2015-12-05-6726825d.pth of torch-fidelity": "needs a download",
    "data are images, or batches of them": "WRONG_TYPES of tests/test_api.py: what can be given",
    "torch.optim.Adam(network.parameters())": "the same",
    "ddpm.ReverseProcess(network, schedule)": "the same; README makes one",
    "data is the name of a source": "WRONG_TYPES of tests/test_api.py: what can be given",
    "a number below 2^63": "what a value must be",
    "the image to give is the small one": "what is what",
    "what was written to files is whole": "tests/cli/test_streams.py reads them",
    "hf:OWNER/NAME downloads a data set": "needs a network",
    "of files any image can be read": "why",
    "SOURCE is 'digits', a folder": "the list of sources: tests/data/sources reads each",
    "looked for": "what is an image, or a data set, here",
    "what was downloaded once": "needs a hub that was there, and is not",
    "hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FOLDER": "needs a network",
    "pip install 'ddpm[hub]'": "needs a network; test_what_can_be_installed looks whether the extra exists",
    "pip install 'ddpm[parquet]'": "the same",
    "pip install 'ddpm[onnx]'": "the same",
    "pip install 'ddpm[codec]'": "the same",
    "pip install 'ddpm[explore]'": "the same",
    "read its files where they were written": "needs a machine of other arithmetic",
    "ddpm.model(p, shape, data=SOURCE) says it": (
        "trained/measures/test_memorised.py::test_a_network_of_ones_own_is_told_its_data_by_what_made_it"
    ),
    "--metrics {} measures both": "trained/measures/test_memorised.py::test_its_flags_are_of_it",
    "--split test takes those that a run does not train on": (
        "trained/measures/test_memorised.py::test_training_images_cannot_be_held_out"
    ),
    "more images of this class are needed, or another --label": (
        "trained/measures/test_memorised.py::test_samples_of_classes_are_compared_with_the_same_classes"
    ),
    "--format torch-export writes the two apart": "interop/test_graphs.py::test_a_learned_schedule_goes_into_graphs_alone",
    "so few images are compared with the samples by eye": "what is left to do",
    "hf auth login": "needs an account",
    "accept them on https://huggingface.co/": "needs an account",
    "in Python ddpm.model(": "which door is the right one; tests/trained/test_own.py goes through it",
    "a model of pixels needs the original integers": "why",
    "its tables have no rows": "why",
    "and files of weights of OpenAI's": "what is read; tests/interop/test_files.py reads each",
    "labels are the folders of images": "what labels are; tests/data/test_labels.py reads each kind",
    "settings={...} takes {}": "no two settings have one name today that is asked for",
    "ddpm.images takes": "which door is the right one; tests/figures/test_images.py goes through it",
    "ddpm train writes one every rhythm.save steps": "when there will be one",
    "ddpm train renames what is newer": "what training will do: tests/run/test_verdicts.py trains and sees",
    "ddpm train stops at {}": "the same",
    "ddpm train goes on from {}": "the same",
    "its classes are 0..{}": "what can be given",
    "flags are {}": "what can be given",
    "ddpm.sample and ddpm.bound take any process": "which door is the right one; tests/test_api.py goes through it",
    "goes on with a run": "which flag is the right one; tests/run/test_going_on.py goes on",
    "of a new run, the settings say how it begins": "why",
    "begins a new run with them": "tests/run/test_fine_tune.py begins one",
    "where no --preset and no setting asks for another network": "why",
    "ddpm train has nothing to go on from": "what was edited is for whoever edited it to bring back",
    "it was trained without labels": "why",
    "it was trained with training.label_dropout = 0": "why",
    'label="none" draws without a class': "what can be given",
    "--label none scores images without": "tests/cli/test_conditional.py scores so",
    "a network of a learned variance": "why",
    "ddpm train --schedule learned --objective variational makes one": "tests/cli/test_learned_schedule.py trains one",
    "without --paste the enlarged images are in": "where they are: tests/cli/test_editing.py finds them",
    "a picture of any size is scaled and cut": "tests/figures/test_images.py gives one",
    "t = 1 is the decoder's step": "why",
    "the files are the same: the version of ddpm": "needs another version of ddpm",
    "the pictures are the same, but this version": "the same",
    "a uint8 tensor is (N, C, H, W)": "what can be given",
    "ddpm.model takes a process": "which door is the right one",
    "give batches (x_0, labels)": "what can be given",
    "an array of uint16 has more": "what can be given; tests/figures/test_round_trip.py gives one",
    "images of {} channels are not scaled": "why",
}
"""Hints that say what was expected, or why: there is nothing to type. And those for which another machine would be needed."""


def texts(node, names):
    """What a hint can be, with `GAP` for what is filled in; a name stands for all that is assigned to it."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
        case ast.IfExp():
            yield from texts(node.body, names)
            yield from texts(node.orelse, names)
        case ast.Name():
            for value in names.get(node.id, ()):
                yield from texts(value, names)
        case ast.List() | ast.Tuple():
            for each in node.elts:
                yield from texts(each, names)
        case ast.Starred() | ast.GeneratorExp():
            yield from texts(node.value if isinstance(node, ast.Starred) else node.elt, names)
        case ast.Call(func=ast.Name(id=name)) if made := names.get(f"{name}()"):
            for each in made:
                yield from texts(each, names)
        case _:
            pass


def named(tree):
    """What is assigned to each name, and returned by each function, called "name()"."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
        if isinstance(node, ast.FunctionDef):
            returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
            found.setdefault(f"{node.name}()", []).extend(returned)
    return found


@functools.cache
def hints():
    """Every hint of the source, and where it is given."""
    return list(_hints())


def _hints():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    modules = {path.relative_to(ROOT / "src").with_suffix("").as_posix().replace("/", "."): path for path in SOURCES}
    own = {path: named(tree) for path, tree in trees.items()}
    for path, tree in trees.items():
        imported = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                known = own[modules[node.module]]
                imported |= {alias.name: known[alias.name] for alias in node.names if alias.name in known}
        names = {**imported, **own[path]}
        for node in ast.walk(tree):
            kind = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if kind in KINDS or kind in ("kind", "failure"):
                for argument in node.args[1:]:
                    yield from (
                        (as_flags(text), f"{path.name}:{node.lineno}") for text in texts(argument, names) if text
                    )


def followed():
    """Parts of hints that `tests/cli/test_hints.py` looks for and follows."""
    tree = ast.parse((ROOT / "tests" / "cli" / "test_hints.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [
        argument for node in calls if ast.unparse(node.func) in ("_hinted", "_refused") for argument in node.args[2:]
    ]
    return [each.value for each in given if isinstance(each, ast.Constant) and len(each.value) > 5]


def test_every_hint_is_followed():
    known = [*followed(), *ELSEWHERE, *TOLD]
    bare = {text: where for text, where in hints() if not any(_meets(part, text) for part in known)}
    assert not bare, "\n".join(f"{where}: {text}" for text, where in bare.items())


def _meets(part, text):
    """Whether what a test looks for is this hint: it is a part of it, or fills its first gap."""
    begin = text.split(GAP)[0].strip()
    return part in text or (len(begin) > 5 and part.startswith(begin))


def test_what_is_said_of_hints_holds():
    """Each entry is of a hint that exists; a test that is named exists."""
    all_texts = [text for text, _ in hints()]
    assert len(all_texts) > 80
    for part in (*ELSEWHERE, *TOLD):
        assert any(part in text for text in all_texts), part
    for place in ELSEWHERE.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), place


def test_what_can_be_installed():
    """The extras that hints name exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named_extras = [text.split("[")[1].split("]")[0] for text, _ in hints() if text.startswith("pip install 'ddpm[")]
    assert len(named_extras) > 1
    assert set(named_extras) <= set(extras)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('raise UsageError("what", "do this")', ["do this"]),
        ('raise UsageError("what", f"do {this} now")', ["do {} now"]),
        ('hint = "do this"\nraise UsageError("what", hint)', ["do this"]),
        ('raise UsageError("what", "a" if b else "c")', ["a", "c"]),
        ('def f():\n    return f"{x} b"\nraise UsageError("what", f(), *["d"])', ["{} b", "d"]),
    ],
)
def test_a_hint_is_seen(line, found):
    tree = ast.parse(line)
    (call,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "UsageError"]
    assert [text for each in call.args[1:] for text in texts(each, named(tree))] == found

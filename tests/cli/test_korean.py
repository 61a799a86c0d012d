"""Commands in Korean: as a Korean types and reads them; what programs read is the same in both languages."""

import io
import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from ddpm.cli.parser import COMMANDS, _parsers
from ddpm.cli.terminal import speech
from ddpm.report.text import columns
from tests.harness.commands import TINY


@pytest.fixture
def korean(monkeypatch):
    """The machine of a Korean; afterwards this process speaks English again."""
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    yield
    speech.SPEECH.begin("en")


@pytest.mark.parametrize(
    ("typed", "machine", "language"),
    [
        (["train"], "C.UTF-8", "en"),
        (["train"], "ko_KR.UTF-8", "ko"),
        (["train", "--language", "ko"], "C.UTF-8", "ko"),
        (["train", "--language=en"], "ko_KR.UTF-8", "en"),
        (["--language", "ko", "train", "--language", "en"], "ko_KR.UTF-8", "en"),
        (["train", "--language", "fr"], "ko_KR.UTF-8", "ko"),
        (["train", "--language"], "C.UTF-8", "en"),
        (["sample", "ko"], "C.UTF-8", "en"),
    ],
)
def test_the_language_is_known_before_the_rest_is_understood(typed, machine, language, monkeypatch):
    monkeypatch.setenv("LC_ALL", machine)
    assert speech.asked(typed) == language


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (["trian"], ["ddpm: 오류: COMMAND에 쓸 수 없는 값입니다: 'trian'", "힌트: ddpm --help"]),
        (["sample", "x", "--num", "0", "--output-dir", "y"], ["--num/--num-images: 1 이상의 정수여야 합니다: '0'"]),
        (
            ["data", "digits", "--jsno", "-"],
            ["ddpm: 오류: 모르는 인자입니다: --jsno", "힌트: 혹시 --json을 찾으셨나요?"],
        ),
        (["verify"], ["ddpm: 오류: 꼭 필요한 인자가 없습니다: RUN"]),
        (["data", "nothing"], ["ddpm: 오류: 그런 데이터가 없습니다: 'nothing'", "힌트: SOURCE에는 'digits',"]),
        (["schedule", "linaer"], ["힌트: 혹시 'linear'를 찾으셨나요?", "힌트: 이 가운데 고르세요: linear, cosine"]),
        (["edit", "x", "y", "--output-dir", "z"], ["이 가운데 하나가 필요합니다: --timestep --super-resolve --colour"]),
        (["train", "--data", "digits", "--output-dir", "x", "--set", "training.lr=a"], ["수가 필요합니다"]),
    ],
)
def test_errors_and_hints(typed, lines, ddpm, korean):
    said = ddpm(*typed)
    assert said.code in (2, 66)
    for line in lines:
        assert line in said.err
    assert "hint:" not in said.err


def test_a_run_from_its_first_line_to_its_last(ddpm, korean, tmp_path):
    run = tmp_path / "런"
    said = ddpm("train", "--output-dir", run, *TINY)
    assert said.code == 0
    assert "ddpm: 데이터를 이해한 내용: 이미지 1,497장, 클래스 10개 (" in said.err
    assert "힌트" not in said.err
    assert f"마쳤습니다: {run}; 리포트: " in said.out
    assert re.search(r"스텝 +6   손실 [\d.]+   평가용 ", said.err)
    again = ddpm("train", "--output-dir", run)
    assert "6스텝을 다 마쳤습니다. --steps를 늘리면 더 갑니다" in again.err
    assert ddpm("verify", run).out.splitlines()[0].startswith("step-000000003  온전함   텐서 ")
    for file in ("config.json", "metrics.jsonl", "exit.json"):
        assert not re.search("[가-힣]", (run / file).read_text(encoding="utf-8").replace("런", "")), file


def test_what_programs_read_is_english(ddpm, korean):
    found = [ddpm("data", "digits", "--json", "-", "--language", language).out for language in ("ko", "en")]
    assert found[0] == found[1]
    assert json.loads(found[0])["images"] == 1797


def test_tables_stand_in_columns(ddpm, korean, trained):
    """Hangul takes two of a terminal."""
    checkpoints = sorted((trained / "checkpoints").iterdir())
    said = ddpm("compare", *checkpoints, "--data", "digits", "--num-images", "4")
    head, *rows = said.out.splitlines()[1:]
    assert "차이 ± 표준오차" in head
    ends = [columns(head[: head.index(word) + len(word)]) for word in ("bits/dim", "차이")]
    assert rows[1][ends[0] - 1].isdigit() and rows[1][ends[0]] == " "
    assert rows[1][ends[1] - 1].isdigit() and rows[1][ends[1]] == " "


@pytest.mark.parametrize("name", ["ddpm", *COMMANDS])
def test_the_help_fits_a_terminal(name, monkeypatch, korean):
    """Of 80 columns, and is Korean wherever it explains."""
    monkeypatch.setenv("COLUMNS", "80")
    speech.SPEECH.begin("ko")
    parser, commands = _parsers()
    text = (parser if name == "ddpm" else commands[name]).format_help()
    assert text.startswith("사용법: ddpm")
    assert max(map(columns, text.splitlines())) <= 80
    for heading in re.findall(r"^(\S.*):$", text, re.MULTILINE):
        assert re.search("[가-힣]", heading) or heading == "run", heading


def test_a_terminal_without_hangul_is_spoken_to_in_english(monkeypatch, korean):
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stderr", latin)
    speech.SPEECH.begin("ko")
    assert speech.said("interrupted") == "interrupted"
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="euc_kr"))
    speech.SPEECH.begin("ko")
    assert speech.said("interrupted") == "중단했습니다"


def test_in_english_no_catalogue_is_read():
    """The help is as light as before; in Korean it still imports nothing heavy."""
    look = (
        "import sys; from ddpm.cli import main; from ddpm.cli.terminal import speech\n"
        "try: main([*sys.argv[1:], '--help'])\n"
        "except SystemExit: print(speech.catalogue.cache_info().misses, 'torch' in sys.modules)"
    )
    for language, read in (("en", 0), ("ko", 1)):
        done = subprocess.run(
            [sys.executable, "-c", look, "--language", language],
            capture_output=True,
            check=True,
            env=os.environ,
            text=True,
        )
        assert done.stdout.splitlines()[-1] == f"{read} False"


@pytest.mark.usefixtures("korean")
def test_a_signal_is_heard_in_korean(capfd):
    """What its handler says goes around print(), and is Korean too."""
    from ddpm.cli.parts import training

    speech.SPEECH.begin("ko")
    training._heard("SIGINT: finishing the step and saving; once more leaves at once")
    assert "SIGINT: 이 스텝을 마치고 저장합니다" in capfd.readouterr().err


def test_names_of_the_user_stay_as_they_are(ddpm, korean, tmp_path):
    """A class whose name is a message of ours, a file too, and a path."""
    (tmp_path / "loss").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "loss" / "1.png")
    (tmp_path / "loss 3").write_text("")
    lines = ddpm("data", tmp_path).out.splitlines()
    assert "    loss 1" in lines
    assert "  그림 아님(확장자 없음): 1, loss 3" in lines
    said = ddpm("schedule", "linear", "--json", tmp_path / "images in a; held out.json")
    assert said.out.splitlines()[-1] == f"json: {tmp_path}/images in a; held out.json"


def test_the_splits_of_a_folder_are_said_in_korean(ddpm, korean, tmp_path):
    for split, count in (("train", 2), ("test", 1), ("val", 1)):
        for number in range(count):
            (tmp_path / "own" / split / "a").mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4)).save(tmp_path / "own" / split / "a" / f"{number}.png")
    lines = ddpm("data", tmp_path / "own").out.splitlines()
    assert "  train: 학습용 이미지 2장" in lines
    assert "  test: 평가용 이미지 1장" in lines
    assert "  val: 어느 쪽에도 들지 않은 이미지 1장, --split validation으로 읽음" in lines
    for number in range(40):
        Image.new("L", (4, 4)).save(tmp_path / f"{number}.png")
    assert re.search("^  이름으로 고른 평가용 이미지 [0-9]+장$", ddpm("data", tmp_path).out, re.MULTILINE)


def test_an_answer_where_there_is_no_hangul(ddpm, monkeypatch, tmp_path):
    """English, and it is said why: no letter of it is an escape."""
    monkeypatch.setattr(speech, "_has_hangul", lambda stream: False)
    said = ddpm("lab", "eq-4", "--language", "ko", "--output-dir", tmp_path)
    assert said.code == 0
    assert said.out.isascii() or "Eq. 4" in said.out
    assert "in English" in said.err
    assert ddpm("lab", "eq-4", "--output-dir", tmp_path).out == said.out

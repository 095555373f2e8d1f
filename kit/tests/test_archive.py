"""The zip is the same wherever it is built, and no larger than Lambda takes."""

import os
import zipfile
from pathlib import Path

import pytest

from chalicekit.build.archive import check_size, check_upload, write_zip
from chalicekit.errors import Refusal


def sparse(path: Path, megabytes: float) -> Path:
    """Make a file of that size, which takes no space."""
    path.touch()
    os.truncate(path, int(megabytes * 1024 * 1024))
    return path


def test_the_order_the_dates_and_the_modes_do_not_change_the_zip(tmp_path: Path) -> None:
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    a.write_text("a")
    b.write_text("b")
    first = write_zip({"b.py": b, "a.py": a}, tmp_path / "first.zip").read_bytes()
    a.chmod(0o600)
    os.utime(b, (1, 1))
    assert write_zip({"a.py": a, "b.py": b}, tmp_path / "new" / "zip").read_bytes() == first


def test_programs_stay_executable(tmp_path: Path) -> None:
    files = {name: sparse(tmp_path / name, 0) for name in ("app.py", "program")}
    files["program"].chmod(0o700)
    with zipfile.ZipFile(write_zip(files, tmp_path / "package.zip")) as package:
        modes = {entry.filename: entry.external_attr >> 16 for entry in package.infolist()}
    assert modes == {"app.py": 0o100644, "program": 0o100755}


@pytest.mark.parametrize(
    ("megabytes", "line"),
    [
        ({"app.py": 9}, ""),
        (
            {"app.py": 0.5, "pip/a": 4, "pip/b": 1, "botocore/a": 16},
            "The package is 22 MB unpacked: botocore 16 MB, pip 5.0 MB, app.py 0.5 MB. "
            "Lambda itself has boto3 and botocore.\n",
        ),
    ],
)
def test_a_large_package_is_named(
    tmp_path: Path,
    megabytes: dict[str, float],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_size({name: sparse(tmp_path / str(size), size) for name, size in megabytes.items()})
    assert capsys.readouterr().err == line


def test_a_package_that_lambda_does_not_unpack_is_refused(tmp_path: Path) -> None:
    files = {"torch/a": sparse(tmp_path / "a", 200), "numpy/b": sparse(tmp_path / "b", 51)}
    with pytest.raises(Refusal, match=r"251 MB unpacked.* 250 MB.*\(torch 200 MB, numpy 51 MB\)"):
        check_size(files)


def test_a_package_that_aws_does_not_take_directly_is_refused(tmp_path: Path) -> None:
    check_upload(sparse(tmp_path / "small.zip", 50))
    with pytest.raises(Refusal, match="51 MB zipped, and AWS takes 50 MB directly"):
        check_upload(sparse(tmp_path / "large.zip", 51))

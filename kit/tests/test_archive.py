"""The zip is the same wherever it is built, and no larger than Lambda takes."""

import os
import zipfile
from pathlib import Path

import pytest

from chalicekit.build.archive import MB, check_size, check_upload, write_zip
from chalicekit.errors import Refusal


def sparse(folder: Path, name: str, size: int) -> Path:
    """Make a file of that size, which takes no space."""
    folder.mkdir(exist_ok=True)
    (folder / name).touch()
    os.truncate(folder / name, size)
    return folder / name


def test_the_order_the_dates_and_the_modes_do_not_change_the_zip(tmp_path: Path) -> None:
    files = {}
    for name in ("b.py", "a.py"):
        files[name] = tmp_path / name
        files[name].write_text(name)
    first = write_zip(files, tmp_path / "first.zip").read_bytes()
    (tmp_path / "a.py").chmod(0o600)
    os.utime(tmp_path / "b.py", (1, 1))
    files = dict(reversed(files.items()))
    assert write_zip(files, tmp_path / "new" / "second.zip").read_bytes() == first


def test_programs_stay_executable(tmp_path: Path) -> None:
    files = {"app.py": sparse(tmp_path, "app.py", 0), "program": sparse(tmp_path, "program", 0)}
    files["program"].chmod(0o700)
    with zipfile.ZipFile(write_zip(files, tmp_path / "package.zip")) as package:
        modes = {entry.filename: entry.external_attr >> 16 for entry in package.infolist()}
    assert modes == {"app.py": 0o100644, "program": 0o100755}


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"app.py": 9 * MB}, ""),
        (
            {"app.py": MB // 2, "pip/a": 4 * MB, "pip/b": MB, "botocore/a": 16 * MB},
            "The package is 22 MB unpacked: botocore 16 MB, pip 5.0 MB, app.py 0.5 MB. "
            "Lambda itself has boto3 and botocore.\n",
        ),
    ],
)
def test_a_large_package_is_named(
    tmp_path: Path, sizes: dict[str, int], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_size({name: sparse(tmp_path, str(size), size) for name, size in sizes.items()})
    assert capsys.readouterr().err == line


def test_a_package_that_lambda_does_not_unpack_is_refused(tmp_path: Path) -> None:
    files = {"torch/a": sparse(tmp_path, "a", 200 * MB), "numpy/b": sparse(tmp_path, "b", 51 * MB)}
    with pytest.raises(Refusal, match=r"251 MB unpacked.* 250 MB.*\(torch 200 MB, numpy 51 MB\)"):
        check_size(files)


def test_a_package_that_aws_does_not_take_directly_is_refused(tmp_path: Path) -> None:
    check_upload(sparse(tmp_path, "small.zip", 50 * MB))
    with pytest.raises(Refusal, match="51 MB zipped, and AWS takes 50 MB directly"):
        check_upload(sparse(tmp_path, "large.zip", 51 * MB))

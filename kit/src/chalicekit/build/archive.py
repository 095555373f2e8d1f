"""The zip that Lambda unpacks, the same wherever it is built, and what Lambda says about its size.

docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import os
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from chalicekit.errors import Refusal

MB = 1024 * 1024
UNPACKED_LIMIT, UPLOAD_LIMIT, WORTH_A_WORD = 250 * MB, 50 * MB, 10 * MB


def write_zip(files: Mapping[str, Path], target: Path) -> Path:
    """Write files, by their paths in it, into the zip `target`, and return it.

    The order, the dates and the modes do not depend on the machine: each file can be read, and
    programs can be run.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, which has modes
            entry.external_attr = (0o100755 if os.access(file, os.X_OK) else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return target


def check_size(files: Mapping[str, Path]) -> None:
    """Raise Refusal if Lambda does not take that many bytes, with what is largest among them.

    From 10 MB on, say it on standard error: often somebody has listed what Lambda has, or tools.
    """
    sizes = Counter[str]()
    for name, file in files.items():
        sizes[name.partition("/")[0]] += file.stat().st_size
    largest = ", ".join(f"{name} {in_mb(size)}" for name, size in sizes.most_common(5))
    line = f"The package is {in_mb(sizes.total())} unpacked"
    if sizes.total() > UNPACKED_LIMIT:
        raise Refusal(
            f"{line}, and Lambda takes {in_mb(UNPACKED_LIMIT)}: "
            f"remove what you can from requirements.txt and vendor/ ({largest})."
        )
    if sizes.total() > WORTH_A_WORD:
        has_sdk = " Lambda itself has boto3 and botocore." if "botocore" in sizes else ""
        click.echo(f"{line}: {largest}.{has_sdk}", err=True)


def fits(files: Mapping[str, Path], package: Path) -> bool:
    """Tell whether Lambda takes the zip `package` of these files."""
    unpacked = sum(file.stat().st_size for file in files.values())
    return unpacked <= UNPACKED_LIMIT and package.stat().st_size <= UPLOAD_LIMIT


def check_upload(package: Path) -> None:
    """Raise Refusal if AWS does not take a zip of that size in a request."""
    size = package.stat().st_size
    if size > UPLOAD_LIMIT:
        raise Refusal(
            f"The package is {in_mb(size)} zipped, and AWS takes {in_mb(UPLOAD_LIMIT)} directly: "
            "remove what you can from requirements.txt and vendor/, or deploy what `package` "
            "writes with CloudFormation, which takes the zip from S3."
        )


def in_mb(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / MB:.1f} MB" if size < 10 * MB else f"{size / MB:.0f} MB"

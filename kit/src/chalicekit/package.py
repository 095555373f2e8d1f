"""`chalicekit package`: the deployment package with its CloudFormation or Terraform template."""

import shutil
import tempfile
from pathlib import Path

from chalicekit import checks
from chalicekit.aws import errors_in_one_line
from chalicekit.build import build
from chalicekit.errors import Refusal
from chalicekit.factory import StageConfig, app_of, create_packager
from chalicekit.lock import lock
from chalicekit.project import Project


def package(
    project: Project,
    out: Path,
    pkg_format: str,
    template_format: str,
    single_file: bool,
    merge_template: str | None,
) -> None:
    """Write the deployment package and the template into the folder `out`.

    The options are those of `chalice package`; with `single_file`, `out` is one zip with both.
    Raises Refusal if the package cannot work. Then nothing in `out` changes.
    """
    _ = project.config  # refuses an unknown stage before anything is written
    # Without credentials, botocore would look for them, for seconds.
    project.session.set_credentials("none", "needed")
    if not project.session.get_config_variable("region"):
        project.session.set_config_variable("region", "us-east-1")  # AWS's partition, for names
    if merge_template and not Path(merge_template).is_file():
        raise Refusal(f"{merge_template} does not exist: choose a template to merge.")
    with errors_in_one_line(project), lock(project):
        checks.before_build(project)
        built = build(project)
        with (
            app_of(built, project) as app,
            tempfile.TemporaryDirectory(dir=project.build_folder) as written,
        ):
            checks.before_package(project, app, pkg_format)
            config, formats = StageConfig(project.config, app, []), (pkg_format, template_format)
            packager = create_packager(config, project.session, built, *formats, merge_template)
            packager.package_app(config, written, project.stage)
            if single_file:
                out.parent.mkdir(parents=True, exist_ok=True)
                archive = shutil.make_archive(str(project.build_folder / "out"), "zip", written)
                shutil.move(archive, out)
                return
            out.mkdir(parents=True, exist_ok=True)
            for file in sorted(Path(written).iterdir()):  # only now: nothing failed
                shutil.move(file, out / file.name)

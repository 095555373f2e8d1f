"""Chalice's deployer and packager, assembled from Chalice's parts and the kit's.

Chalice makes the plan, carries it out and writes the template. The kit gives it the deployment
package, the resources that AWS has, and a place for its record.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.session import Session
from chalice import Chalice
from chalice.awsclient import TypedAWSClient
from chalice.config import Config, DeployedResources
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import (
    BaseDeployStep,
    BuildStage,
    Deployer,
    InjectDefaults,
    LambdaEventSourcePolicyInjector,
    PolicyGenerator,
    ResultsRecorder,
    SwaggerBuilder,
    WebsocketPolicyInjector,
)
from chalice.deploy.executor import Executor
from chalice.deploy.models import LambdaFunction, LambdaLayer
from chalice.deploy.planner import PlanStage, RemoteState
from chalice.deploy.swagger import (
    CFNSwaggerGenerator,
    SwaggerGenerator,
    TemplatedSwaggerGenerator,
    TerraformSwaggerGenerator,
)
from chalice.deploy.sweeper import ResourceSweeper
from chalice.package import (
    AppPackager,
    CompositePostProcessor,
    JSONTemplateSerializer,
    PackageOptions,
    ResourceBuilder,
    SAMCodeLocationPostProcessor,
    SAMTemplateGenerator,
    TemplateMergePostProcessor,
    TerraformCodeLocationPostProcessor,
    TerraformGenerator,
    YAMLTemplateSerializer,
)
from chalice.policy import AppPolicyGenerator
from chalice.utils import UI, OSUtils

from chalicekit.build import Build
from chalicekit.merge import TemplateMerger

OS = OSUtils()


class StageConfig(Config):
    """A stage's settings with its app and its resources in AWS, for Chalice's deployer."""

    resources: Sequence[dict[str, Any]] = ()

    @classmethod
    def of(
        cls, config: Config, app: Chalice, resources: Sequence[dict[str, Any]] = ()
    ) -> "StageConfig":
        """Return such settings; `resources` are those that AWS has, as Chalice records them."""
        found = cls(
            config.chalice_stage,
            user_provided_params=config._user_provided_params | {"chalice_app": app},
            config_from_disk=config.config_from_disk,
            default_params=config._default_params,
        )
        found.resources = resources
        return found

    def deployed_resources(self, chalice_stage_name: str) -> DeployedResources:
        """Return the resources that AWS has."""
        return DeployedResources({"resources": self.resources})


class PackageStep(BaseDeployStep):
    """Gives each function the deployment package, and the layer if there is one."""

    def __init__(self, built: Build) -> None:
        self.built = built

    def handle_lambdalayer(self, config: Config, resource: LambdaLayer) -> None:
        """Give a managed layer its package; Chalice asks for it before its functions'."""
        if self.built.layer_zip:
            resource.deployment_package.filename = str(self.built.layer_zip)
        else:
            resource.is_empty = True

    def handle_lambdafunction(self, config: Config, resource: LambdaFunction) -> None:
        """Give a function its package, and no layer that would be empty."""
        resource.deployment_package.filename = str(self.built.zip)
        if resource.managed_layer and resource.managed_layer.is_empty:
            resource.managed_layer = None


def build_stage(built: Build, swagger: SwaggerGenerator) -> BuildStage:
    """Return the steps of `chalice.deploy.deployer.create_build_stage`, with the kit's package."""
    return BuildStage(
        [
            InjectDefaults(),
            PackageStep(built),
            PolicyGenerator(AppPolicyGenerator(OS), OS),
            SwaggerBuilder(swagger),
            LambdaEventSourcePolicyInjector(),
            WebsocketPolicyInjector(),
        ]
    )


class Recorder(ResultsRecorder):
    """Writes Chalice's record into a folder, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        super().__init__(OS)
        self.folder = folder

    def record_results(self, results: Any, chalice_stage_name: str, project_dir: str) -> None:
        """Write the record of a stage."""
        self.folder.mkdir(parents=True, exist_ok=True)
        complete = self.folder / f"{chalice_stage_name}.new"
        complete.write_text(json.dumps(results, indent=2), encoding="utf-8")
        complete.replace(self.folder / f"{chalice_stage_name}.json")


def create_deployer(
    config: StageConfig, session: Session, records: Path, built: Build | None
) -> Deployer:
    """Return Chalice's deployer, as `chalice.deploy.deployer` creates it.

    Without `built`, it only deletes: the app of `config` is then an empty one.
    """
    client = TypedAWSClient(session)
    state = RemoteState(client, config.deployed_resources(config.chalice_stage))
    return Deployer(
        application_builder=ApplicationGraphBuilder(),
        deps_builder=DependencyBuilder(),
        build_stage=build_stage(built, TemplatedSwaggerGenerator()) if built else BuildStage([]),
        plan_stage=PlanStage(osutils=OS, remote_state=state),
        sweeper=ResourceSweeper(),
        executor=Executor(client, UI()),
        recorder=Recorder(records),
    )


def create_packager(
    config: StageConfig,
    session: Session,
    built: Build,
    pkg_format: str,
    template_format: str,
    merge_template: str | None,
) -> AppPackager:
    """Return Chalice's packager, as `chalice.package.create_app_packager` creates it."""
    options = PackageOptions(TypedAWSClient(session))
    if pkg_format == "terraform":
        return terraform_packager(config, options, built)
    return cloudformation_packager(config, options, built, template_format, merge_template)


def terraform_packager(config: StageConfig, options: PackageOptions, built: Build) -> AppPackager:
    """Return the packager that writes Terraform's template."""
    return AppPackager(
        TerraformGenerator(config, options),
        resource_builder(built, TerraformSwaggerGenerator()),
        CompositePostProcessor([TerraformCodeLocationPostProcessor(OS)]),
        JSONTemplateSerializer(),
        OS,
    )


def cloudformation_packager(
    config: StageConfig,
    options: PackageOptions,
    built: Build,
    template_format: str,
    merge_template: str | None,
) -> AppPackager:
    """Return the packager that writes CloudFormation's template, and merges another into it."""
    serializer: Any = JSONTemplateSerializer()
    is_yaml = YAMLTemplateSerializer.is_yaml_template
    if template_format == "yaml" or (merge_template and is_yaml(merge_template)):
        serializer = YAMLTemplateSerializer()
    merger = TemplateMerger(f"{config.app_name}-{config.chalice_stage}")
    processors = [
        SAMCodeLocationPostProcessor(OS),
        TemplateMergePostProcessor(OS, merger, serializer, merge_template),
    ]
    return AppPackager(
        SAMTemplateGenerator(config, options),
        resource_builder(built, CFNSwaggerGenerator()),
        CompositePostProcessor(processors),
        serializer,
        OS,
    )


def resource_builder(built: Build, swagger: SwaggerGenerator) -> ResourceBuilder:
    """Return what makes the resources that a template describes."""
    return ResourceBuilder(
        ApplicationGraphBuilder(), DependencyBuilder(), build_stage(built, swagger)
    )

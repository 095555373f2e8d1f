"""The value that every command works on."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.session import Session
from chalice.config import Config

from chalicekit.aws import EmulatedSession, emulator_of
from chalicekit.errors import Refusal

DEFAULT_EMULATOR_PORT = 4566
# Chalice's own defaults: chalice/cli/factory.py
DEFAULTS = {
    "api_gateway_stage": "api",
    "api_gateway_endpoint_type": "EDGE",
    "autogen_policy": True,
}


@dataclass(frozen=True)
class Project:
    """A Chalice project's folder with one of its stages, in an AWS account or in an emulated AWS.

    Attributes:
        folder: The absolute path of the project.
        stage: The stage, a key of `stages` in `.chalice/config.json`.
        emulator: The URL of the emulated AWS, or "" for the AWS account that is configured.
        profile: The profile in the AWS configuration, or "" for the default.
        make: Whether hints name make's commands instead of `chalicekit`'s.
        build_dir: The folder to build in, or None for `build` in the project.
        options: Settings of the command line, which come before those of the file.
        configured: Whether `emulator` is not the kit's own, but named in the AWS configuration.

    """

    folder: Path
    stage: str = "dev"
    emulator: str = ""
    profile: str = ""
    make: bool = False
    build_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    configured: bool = False

    @property
    def build_folder(self) -> Path:
        """The folder that everything for this stage is built in."""
        return (self.build_dir or self.folder / "build") / self.stage

    @property
    def records(self) -> Path:
        """The folder of Chalice's records of what it deployed."""
        if self.emulator:
            return self.build_folder.parent / "emulated"
        return self.folder / ".chalice" / "deployed"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The content of `.chalice/config.json`; raises Refusal if it cannot be read."""
        folder, path = self.folder, self.folder / ".chalice" / "config.json"
        if not path.exists():
            raise Refusal(f"{folder} is not a Chalice project: it has no .chalice/config.json.")
        return read_json(path, folder)

    @cached_property
    def config(self) -> Config:
        """The stage's settings, without the app; raises Refusal if there is no such stage."""
        stages = self.settings.get("stages", {"dev": {}})  # dev is Chalice's default
        if self.stage not in stages:
            known = " or ".join(stages) or 'add it to "stages" there'
            advice = f"choose {known}" if stages else known
            raise Refusal(f"Stage {self.stage} is not in .chalice/config.json: {advice}.")
        if not isinstance(stages, dict) or not isinstance(stages[self.stage], dict):
            raise Refusal(f".chalice/config.json: stages.{self.stage} must be an object.")
        defaults = {"project_dir": str(self.folder), **DEFAULTS}
        return Config(
            self.stage,
            user_provided_params=dict(self.options),
            config_from_disk=self.settings,
            default_params=defaults,
        )

    @property
    def name(self) -> str:
        """The name of the stage's function for the API, which all its other names start with."""
        return f"{self.config.app_name}-{self.stage}"

    @cached_property
    def session(self) -> Session:
        """The session for all calls of a command: AWS asks for an MFA code once."""
        if self.emulator:
            return EmulatedSession(self.emulator)
        return Session(profile=self.profile or None)

    def connected(self) -> "Project":
        """Return the project with `emulator` set, if the AWS configuration names an endpoint."""
        if self.emulator:
            return self
        found = replace(self, emulator=emulator_of(self.session), configured=True)
        # The endpoint's own credentials and region may be configured with it, so keep the session.
        found.__dict__["session"] = self.session
        return found

    def command(self, name: str) -> str:
        """Return what the user types for a command, with the same stage and the same AWS."""
        emulated = bool(self.emulator) and not self.configured
        port = int(self.emulator.rpartition(":")[2]) if emulated else DEFAULT_EMULATOR_PORT
        if self.make:
            in_stage = name != "emulator"
            options = {
                "AWS": "emulated" if emulated and in_stage else "",
                "AWS_PORT": "" if port == DEFAULT_EMULATOR_PORT else str(port),
                "STAGE": self.stage if self.stage != "dev" and in_stage else "",
                "AWS_PROFILE": self.profile if in_stage else "",
            }
            given = [f"{key}={shlex.quote(value)}" for key, value in options.items() if value]
            return " ".join(["make", name, *given])
        words = ["chalicekit"]
        if self.folder != Path.cwd():
            words += ["--project-dir", str(self.folder)]
        words += [name]
        if name == "emulator":
            words += [] if port == DEFAULT_EMULATOR_PORT else ["--port", str(port)]
            return shlex.join(words)
        words += [] if self.stage == "dev" else ["--stage", self.stage]
        words += ["--profile", self.profile] if self.profile else []
        words += ["--emulated"] if emulated else []
        words += [] if port == DEFAULT_EMULATOR_PORT else ["--emulator-port", str(port)]
        return shlex.join(words)

    def aws_command(self, arguments: str) -> str:
        """Return what the user types for a command of AWS's own command line, in the same AWS."""
        words = ["aws"]
        if self.emulator and not self.configured:
            words += ["--endpoint-url", self.emulator]
        elif self.profile:
            words += ["--profile", self.profile]
        return f"{shlex.join(words)} {arguments}"


def read_json(path: Path, folder: Path) -> dict[str, Any]:
    """Return the content of a JSON file in `folder`; raises Refusal if it is no JSON object."""
    name = path.relative_to(folder) if path.is_relative_to(folder) else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it must hold an object")
        return content
    except OSError as error:
        raise Refusal(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Refusal(f"{name} is not valid JSON: {error}") from error

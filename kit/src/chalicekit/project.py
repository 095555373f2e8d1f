"""The value that every command works on."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from botocore.session import Session
from chalice.config import Config
from chalice.constants import DEFAULT_STAGE_NAME as DEFAULT_STAGE

from chalicekit.aws import EmulatedSession
from chalicekit.errors import Refusal

DEFAULT_EMULATOR_PORT = 4566
MAKE_NAMES = {"local": "run"}  # make's names of commands, where they differ from Chalice's
# Chalice's own defaults: chalice/cli/factory.py
DEFAULTS = {
    "api_gateway_stage": "api",
    "api_gateway_endpoint_type": "EDGE",
    "autogen_policy": True,
}


class Choice(NamedTuple):
    """What the user chose, in the words of make and in those of the kit."""

    variable: str
    option: list[str]


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
        configured: The session of the AWS configuration, if that names `emulator`; None if the
            command line does.

    """

    folder: Path
    stage: str = DEFAULT_STAGE
    emulator: str = ""
    profile: str = ""
    make: bool = False
    build_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    configured: Session | None = None

    @property
    def build_root(self) -> Path:
        """The folder of the builds of all stages."""
        return self.build_dir or self.folder / "build"

    @property
    def build_folder(self) -> Path:
        """The folder that everything for this stage is built in."""
        return self.build_root / self.stage

    @property
    def records(self) -> Path:
        """The folder of Chalice's records of what it deployed."""
        if self.emulator:
            return self.build_root / "emulated"
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
        stages = self.settings.get("stages", {DEFAULT_STAGE: {}})
        if not isinstance(stages, dict):
            raise Refusal(".chalice/config.json: stages must be an object.")
        if self.stage not in stages:
            known = " or ".join(stages)
            advice = f"choose {known}" if known else 'add it to "stages" there'
            raise Refusal(f"Stage {self.stage} is not in .chalice/config.json: {advice}.")
        if not isinstance(stages[self.stage], dict):
            raise Refusal(f".chalice/config.json: stages.{self.stage} must be an object.")
        return Config(
            self.stage,
            user_provided_params=dict(self.options),
            config_from_disk=self.settings,
            default_params={"project_dir": str(self.folder), **DEFAULTS},
        )

    @property
    def name(self) -> str:
        """The name of the stage's function for the API, which all its other names start with."""
        return f"{self.config.app_name}-{self.stage}"

    @cached_property
    def session(self) -> Session:
        """The session for all calls of a command: AWS asks for an MFA code once."""
        if self.configured:
            return self.configured
        if self.emulator:
            return EmulatedSession(self.emulator)
        return Session(profile=self.profile or None)

    @property
    def is_emulated_by_option(self) -> bool:
        """Whether the command line asks for the emulated AWS."""
        return bool(self.emulator) and not self.configured

    def emulated(self) -> "Project":
        """Return the project in the kit's own emulated AWS, for advice to use that."""
        url = f"http://127.0.0.1:{DEFAULT_EMULATOR_PORT}"
        return replace(self, emulator=url, profile="", configured=None)

    def command(self, name: str) -> str:
        """Return what the user types for a command, with the same stage and the same AWS.

        Without --build-dir: a user needs none, and that of a test is gone when the hint is read.
        """
        if self.make:
            variables = [choice.variable for choice in self.choices(name)]
            return " ".join(["make", self.typed(name), *variables])
        folder = [] if self.folder == Path.cwd() else ["--project-dir", str(self.folder)]
        return shlex.join(["chalicekit", *folder, name, *self.options_of(name)])

    def typed(self, name: str) -> str:
        """Return the name that the user types for a command."""
        return MAKE_NAMES.get(name, name) if self.make else name

    def argv(self, name: str, *arguments: str) -> list[str]:
        """Return the words that start a command in a process of its own."""
        kit = [sys.executable, "-m", "chalicekit", "--project-dir", str(self.folder)]
        kit += ["--build-dir", str(self.build_dir)] if self.build_dir else []
        kit += ["--make"] if self.make else []
        return [*kit, name, *self.options_of(name), *arguments]

    def options_of(self, name: str) -> list[str]:
        """Return the kit's options for what the user chose and a command takes."""
        return [word for choice in self.choices(name) for word in choice.option]

    def choices(self, name: str) -> list[Choice]:
        """Return what the user chose and a command takes; what is the default is left out."""
        port = self.emulator.rpartition(":")[2] if self.is_emulated_by_option else ""
        port = "" if port == str(DEFAULT_EMULATOR_PORT) else port
        stage = "" if self.stage == DEFAULT_STAGE else self.stage
        table = [
            ("AWS", "emulated" if self.is_emulated_by_option else "", ["--emulated"]),
            ("AWS_PORT", port, ["--emulator-port", port]),
            ("STAGE", stage, ["--stage", stage]),
            ("AWS_PROFILE", self.profile, ["--profile", self.profile]),
        ]
        if name == "emulator":
            table = [("AWS_PORT", port, ["--port", port])]
        return [
            Choice(f"{key}={shlex.quote(value)}", option) for key, value, option in table if value
        ]

    def aws_command(self, arguments: str) -> str:
        """Return what the user types for a command of AWS's own command line, in the same AWS."""
        words = ["aws"]
        if self.is_emulated_by_option:
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

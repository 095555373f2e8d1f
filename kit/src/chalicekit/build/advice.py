"""What to do about a module or a file that the deployment package lacks."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions
from pathlib import Path

from chalicekit.build.files import APP
from chalicekit.build.pip import normalized
from chalicekit.build.syntax import OWN
from chalicekit.build.wheels import likely_names

# What to do about modules that the standard library had before Python 3.12 or 3.13 (PEP 594)
REMOVED = dict.fromkeys(["lib2to3", "msilib", "nis", "ossaudiodev", "spwd"], "nothing replaces it")
REMOVED |= {"imp": "use importlib", "audioop": "add audioop-lts to requirements.txt"}
RESURRECTED = "aifc asynchat asyncore cgi cgitb chunk crypt distutils imghdr mailcap nntplib pipes"
RESURRECTED += " smtpd sndhdr sunau telnetlib uu xdrlib"
REMOVED |= {name: f"add standard-{name} to requirements.txt" for name in RESURRECTED.split()}


@dataclass(frozen=True)
class Advisor:
    """Knows the project's folder, and the requirements that cannot be built, with the reasons."""

    folder: Path
    unbuilt: Mapping[str, str] = field(default_factory=dict)

    def about_module(self, module: str) -> str | None:
        """Return what to do about a module that is not packaged, or None if it is to be added."""
        top = module.partition(".")[0]
        if not top:
            return "a relative import works only inside chalicelib/"
        if top == "chalice":
            return "on Lambda, Chalice has only `chalice` and `chalice.app`"
        if top in OWN:
            return "there is no such module"
        if self.is_beside_app(top):
            return f"move {top} into chalicelib/, because modules next to app.py are not packaged"
        if unbuilt := self.unbuilt_for(top):
            reason = self.unbuilt[unbuilt]
            return f"change {unbuilt} in requirements.txt, which cannot be built ({reason})"
        if top in REMOVED:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            return f"Python {version} no longer has it, {REMOVED[top]}"
        return None

    def cannot_be_in_a_layer(self, top: str) -> bool:
        """Tell whether a module at the top can only be the app's, or Chalice's."""
        return top in ("", "chalice", *OWN) or self.is_beside_app(top)

    def is_beside_app(self, top: str) -> bool:
        """Tell whether a module, or a folder, is next to app.py, from where nothing is packaged."""
        return (self.folder / f"{top}.py").exists() or (self.folder / top).is_dir()

    def unbuilt_for(self, top: str) -> str | None:
        """Return the first requirement that cannot be built and may have a module."""
        likely = likely_names(top)
        for name in self.unbuilt:
            if name in likely or normalized(top) in name:
                return name
        return None


def advice_to_add(modules: Collection[str]) -> str:
    """Return how to bring modules into the deployment package."""
    known = packages_distributions()
    names = [known.get(module, [f"the package of {module}"])[0] for module in modules]
    return (
        f"add {', '.join(names)} to requirements.txt (or, if a layer has such a module, name it in "
        '"chalicekit": {"layer_modules": [...]} in .chalice/config.json)'
    )


def about_file(name: str) -> str:
    """Return what to do about a file of the project that is not packaged."""
    if name.split("/")[0] in APP:
        patterns = '"chalicekit": {"include": [...]}'
        return f"`git add {name}`, or name it in {patterns} in .chalice/config.json"
    return f"move {name} into chalicelib/, because files next to app.py are not packaged"

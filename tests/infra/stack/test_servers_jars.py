"""Where Kafka's jars come from."""

from pathlib import Path

import pytest

from infra.stack.processes import _mirrors

SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>
<mirror><id>a</id><mirrorOf>{of}</mirrorOf><url> {url} </url></mirror></mirrors></settings>"""


@pytest.mark.parametrize(
    ("of", "used"), [("*", True), ("central", True), ("x, central", True), ("other", False)]
)
def test_a_mirror_of_the_users_maven_is_asked(tmp_path: Path, of: str, used: bool) -> None:
    """The mirror that Maven would use for the central repository is used here too."""
    path = tmp_path / "settings.xml"
    path.write_text(SETTINGS.format(of=of, url="file:///repository"))
    assert _mirrors(path) == ({"central": "file:///repository"} if used else {})


def test_without_settings_nothing_is_changed(tmp_path: Path) -> None:
    """No file, no mirror."""
    assert _mirrors(tmp_path / "settings.xml") == {}

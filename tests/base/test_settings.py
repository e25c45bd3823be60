"""Settings: documented, read from file and environment, refused by name."""

from pathlib import Path

import pytest

from laotie.base.settings import SettingRefused, document, load

REPOSITORY = Path(__file__).parents[2]


def test_every_setting_is_documented() -> None:
    assert (REPOSITORY / "docs" / "settings.md").read_text() == document(), (
        "run: laotie settings --document > docs/settings.md"
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "laotie.toml").write_text('port = 9000\nhost = "0.0.0.0"\n')
    settings = load(environment={"LAOTIE_DATA_DIR": str(tmp_path), "LAOTIE_PORT": "9001"})
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LAOTIE_PROT", "1", "prot"),
        ("LAOTIE_PORT", "http", "port"),
        ("LAOTIE_PORT", "70000", "port"),
        ("LAOTIE_TLS_KEY", "/k.pem", "tls_certificate"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        load(environment={"LAOTIE_DATA_DIR": str(tmp_path), name: value})
    assert said in refused.value.reason


def test_signing_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = load(environment={"LAOTIE_DATA_DIR": str(tmp_path)})
    assert settings.signing_keys() == settings.signing_keys()
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0

"""What is taken for put there by us, by owner, mode and kind."""

import os
import stat

import pytest

from vaultcore.errors import ConfigurationError
from worker.ownership import GROUP_VARIABLE, check_file, check_folder, open_file

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
NOBODY = 65534


@pytest.fixture
def tmp_path(reachable):
    return reachable


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "a file.toml"
    made.write_text("a = 1")
    made.chmod(0o600)
    return made


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "a folder"
    made.mkdir(mode=0o700)
    return made


def read(file):
    with os.fdopen(open_file(file, "the settings"), "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o644, 0o444, 0o755])
def test_what_others_may_read_and_not_write_is_ours(file, folder, mode):
    file.chmod(mode)
    folder.chmod(mode | 0o100)
    check_file(file, "the database")
    check_folder(folder, "the data folder")
    assert read(file) == b"a = 1"


@pytest.mark.parametrize("mode", [0o620, 0o660, 0o602, 0o666, 0o777, 0o2770])
def test_what_others_may_write_is_refused_with_the_command_that_mends_it(file, folder, mode):
    for path, check in ((file, check_file), (folder, check_folder), (file, open_file)):
        path.chmod(mode)
        with pytest.raises(ConfigurationError) as refused:
            check(path, "the thing")
        said = str(refused.value)
        assert said.startswith(f"the thing {path}: it has mode {mode:04o}, so others may change it")
        assert said.endswith(f"chmod go-w '{path}'")
        path.chmod(mode & ~0o022)
        check(path, "the thing")


@pytest.mark.parametrize(
    "mode", [0o700, 0o744, *([0o600] if os.getuid() == 0 else [])]
)  # root alone enters that
def test_what_nobody_else_can_reach_may_have_any_mode(tmp_path, file, folder, mode):
    """As a umask of 002 leaves it."""
    file.chmod(0o666)
    (tmp_path / "link").symlink_to(file)
    folder.chmod(0o777)
    tmp_path.chmod(mode)
    check_file(file, "the settings")
    check_file(tmp_path / "link", "the settings")
    check_folder(folder, "the data folder")
    assert read(file) == b"a = 1"
    tmp_path.chmod(0o711)
    for check, path in ((check_file, file), (check_file, tmp_path / "link"), (check_folder, folder)):
        with pytest.raises(ConfigurationError, match="so others may change it"):
            check(path, "the thing")


def test_a_link_of_ours_hides_nothing_that_others_reach(tmp_path, file):
    file.chmod(0o666)
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "link").symlink_to(file)
    with pytest.raises(ConfigurationError, match="mode 0666"):
        check_file(hidden / "link", "the settings")


def test_a_file_with_a_second_name_may_be_reached_by_that(tmp_path, file):
    file.chmod(0o666)
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "same.toml").hardlink_to(file)
    with pytest.raises(ConfigurationError, match="mode 0666"):
        open_file(hidden / "same.toml", "the settings")


@ONLY_ROOT
def test_a_closed_folder_of_somebody_else_hides_nothing(tmp_path, file):
    file.chmod(0o666)
    tmp_path.chmod(0o700)
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match="mode 0666"):
        check_file(file, "the settings")
    os.chown(tmp_path, 0, 0)


def test_a_folder_for_everybody_is_not_to_be_closed_to_them(folder):
    folder.chmod(0o1777)
    with pytest.raises(
        ConfigurationError, match=r"mode 1777, so others .*: name a folder of its own within it$"
    ):
        check_folder(folder, "the data folder")


@ONLY_ROOT
def test_what_belongs_to_somebody_else_is_refused(file, folder):
    for path, check in ((file, check_file), (folder, check_folder), (file, open_file)):
        os.chown(path, NOBODY, -1)
        with pytest.raises(ConfigurationError, match=f"it belongs to user {NOBODY}, .*, or chown 0 '"):
            check(path, "the thing")


def test_what_is_not_there_is_right(tmp_path, file):
    check_file(tmp_path / "none", "the thing")
    check_folder(tmp_path / "none", "the thing")
    assert open_file(tmp_path / "none", "the thing") is None
    assert open_file(file / "none", "the thing") is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "odd")
    with pytest.raises(ConfigurationError, match="it is not a file: move it away"):
        open_file(tmp_path / "odd", "the settings")


def test_what_is_no_folder_is_refused(file):
    with pytest.raises(ConfigurationError, match="it is not a folder: move it away"):
        check_folder(file, "the data folder")


def test_a_link_of_ours_leads_to_what_is_looked_at(tmp_path, file, folder):
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "links").symlink_to(folder)
    assert read(tmp_path / "link") == b"a = 1"
    check_folder(tmp_path / "links", "the data folder")
    file.chmod(0o666)
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="mode 0666"):
        open_file(tmp_path / "link", "the settings")
    with pytest.raises(ConfigurationError, match="mode 0777"):
        check_folder(tmp_path / "links", "the data folder")


@ONLY_ROOT
def test_a_link_of_somebody_else_is_refused(tmp_path, file):
    link = tmp_path / "link"
    link.symlink_to(file)
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match=f"a link of user {NOBODY}, who may lead it anywhere: rm "):
        open_file(link, "the settings")


def test_where_no_link_belongs_one_is_refused(tmp_path, folder):
    (tmp_path / "links").symlink_to(folder)
    with pytest.raises(ConfigurationError, match="it is a link: put what it leads to in its place"):
        check_folder(tmp_path / "links", "the broker's folder", link=False)


def test_a_group_may_write_that_the_environment_trusts(folder, monkeypatch):
    folder.chmod(0o2770)
    monkeypatch.setenv(GROUP_VARIABLE, str(folder.stat().st_gid + 1))
    with pytest.raises(ConfigurationError, match="mode 2770"):
        check_folder(folder, "the data folder")
    if folder.stat().st_gid == 0:
        os.chown(folder, -1, 2000)
        folder.chmod(0o2770)
    monkeypatch.setenv(GROUP_VARIABLE, str(folder.stat().st_gid))
    check_folder(folder, "the data folder")
    folder.chmod(0o2777)
    with pytest.raises(ConfigurationError, match="mode 2777"):
        check_folder(folder, "the data folder")


@pytest.mark.parametrize("given", ["wheel", "0", "-1", "2000 2001", "²", "9" * 30])
def test_a_group_is_trusted_by_its_number(folder, monkeypatch, given):
    folder.chmod(0o2770)
    monkeypatch.setenv(GROUP_VARIABLE, given)
    with pytest.raises(ConfigurationError, match=f"the variable {GROUP_VARIABLE} is not the number of a group"):
        check_folder(folder, "the data folder")

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader pastes from the documentation: YAML that is YAML; targets, playbooks and variables that exist; links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("demo/*.md"), *ROOT.glob("examples/**/*.md"),
                *ROOT.glob("roles/*/README.md")])
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
PLAYBOOK = re.compile(r"httpd_fleet\.mod_session\.([a-z_]+)\b")
VARIABLE = re.compile(r"\bsession_[a-z_]+\b")


class _Loader(yaml.SafeLoader):
    """Ansible's YAML: a value in a vault is a value."""


_Loader.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))


def blocks(page, language):
    """The code blocks of a page in a language, each with the number of its first line."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start()) + 2, match.group(1))
            for match in re.finditer(r"^```%s\n(.*?)^```" % language, text, re.M | re.S)]


def commands():
    """Every command of every page; lines that a backslash continues are one."""
    for page in PAGES:
        for line, block in blocks(page, "sh"):
            for row in block.replace("\\\n", " ").splitlines():
                words = shlex.split(row, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words:
                    yield pytest.param(words, id="%s:%d %s" % (page.relative_to(ROOT), line, row[:60]))


def playbooks():
    """Names of the playbooks that a person runs."""
    return {path.stem for path in ROOT.glob("playbooks/*.yml")}


def plugins():
    """Names of modules and roles, which a page may name in full as well."""
    return {path.stem for path in ROOT.glob("plugins/modules/*.py")} | {path.name for path in ROOT.glob("roles/*")}


def known_variables():
    """Every variable that the code reads: roles' options, and what playbooks ask for."""
    sources = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml"), *ROOT.glob("plugins/**/*.py")]
    return set().union(*(VARIABLE.findall(path.read_text()) for path in sources))


@PAGE
def test_yaml_can_be_read(page):
    for line, block in blocks(page, "ya?ml"):
        try:
            list(yaml.load_all(block, _Loader))
        except yaml.YAMLError as error:
            pytest.fail("%s line %d: %s" % (page, line, error))


@PAGE
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            path, _hash, heading = target.partition("#")
            assert (page.parent / path).exists(), target
            if heading:
                titles = re.findall(r"^#+ (.*)$", (page.parent / path).read_text(), re.M)
                assert heading in [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles], target


@PAGE
def test_full_names_are_of_something(page):
    text = re.sub(r"httpd_fleet\.mod_session\.plugins\S*", "", page.read_text())
    assert not set(PLAYBOOK.findall(text)) - playbooks() - plugins()


@PAGE
def test_variables_are_read_by_something(page):
    assert not set(VARIABLE.findall(page.read_text())) - known_variables() - plugins() - {"session_fleet"}


@pytest.mark.parametrize("words", list(commands()))
def test_commands_are_of_something(words):
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert {word for word in words[1:] if "=" not in word} <= targets
    elif words[0] == "ansible-playbook":
        names = [word for word in words if word.endswith(".yml") or PLAYBOOK.match(word)]
        assert names, "no playbook"
        for name in names:
            match = PLAYBOOK.fullmatch(name)
            assert not match or match.group(1) in playbooks(), name
    elif words[0] == ".":
        assert (ROOT / words[1]).exists()
    elif words[0].startswith(".cache/"):
        assert Path(words[0]).name in (ROOT / "tools/deps").read_text(), "a program that `make` installs when it is needed"
    elif "/" in words[0] and not words[0].startswith("/"):
        assert (ROOT / words[0]).exists()

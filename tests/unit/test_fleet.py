# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are the fleet: inventories in, a group and its settings out, or a sentence."""

from __future__ import annotations

import re

import jinja2
import jinja2.nodes
import pytest
import yaml

from plugins.plugin_utils import fleet
from plugins.plugin_utils.fleet import FLEET, NODE, SCOPES, VARIABLES, FleetError, Inventory

from .installed import ROOT
from .test_docs import PAGES

WEB = ("w1", "w2", "w3")


def inventory(everywhere=None, chosen=None, groups=None, **said):
    """Three nodes in the group web and a database; ``said``: what hosts say, ``all`` for each of them."""
    groups = groups or {"web": list(WEB), "db": ["db1"]}
    hosts = [host for group in groups.values() for host in group]
    said = {host: {**said.get("all", {}), **said.get(host, {})} for host in hosts}
    return Inventory({**groups, "all": hosts}, hosts if chosen is None else chosen, said, everywhere or {},
                     lambda host, name: said[host][name])


NAMED = {"session_fleet_group": "web"}


@pytest.mark.parametrize("where", [
    {"all": NAMED},
    dict.fromkeys(WEB, NAMED),
    {"w2": NAMED},
    {"db1": NAMED},
    {"everywhere": NAMED},
    {"all": {"session_fleet_group": "db"}, "everywhere": NAMED},
    {"all": NAMED, "chosen": ["w2"]},
    {"w1": NAMED, "db1": {"session_fleet_group": "db"}, "chosen": ["w1", "w2"]},
    {"groups": {"session_fleet": ["n1"]}},
], ids=str)  # fmt: skip
def test_the_group_is_found_wherever_it_is_named(where):
    assert fleet.find_group(inventory(**where)) == ("session_fleet" if "groups" in where else "web")


@pytest.mark.parametrize("where, words", [
    ({}, "no host in the group session_fleet"),
    ({"all": {"session_fleet_group": "wbe"}}, "no host in the group wbe"),
    ({"w1": NAMED, "db1": {"session_fleet_group": "db"}}, r"web \(w1\); db \(db1\).*-e session_fleet_group"),
    ({"w1": NAMED, "db1": {"session_fleet_group": "db"}, "chosen": ["w1", "db1"]}, "several groups"),
    ({"all": NAMED, "chosen": ["db1"]}, "--limit .* no host of the group web"),
    ({"all": NAMED, "chosen": []}, "--limit"),
    ({"all": {"session_fleet_group": "web:db"}}, "name of one group, found 'web:db'"),
    ({"all": {"session_fleet_group": ["web"]}}, "name of one group"),
    ({"all": {"session_fleet_group": ""}}, "name of one group"),
    ({"all": {"session_fleet_group": None}}, "name of one group"),
], ids=str)  # fmt: skip
def test_an_inventory_without_one_fleet_is_refused(where, words):
    with pytest.raises(FleetError, match=words):
        fleet.find_group(inventory(**where))


def test_a_fleet_may_be_optional_unless_it_is_named():
    assert fleet.find_group(inventory(), optional=True) == ""
    with pytest.raises(FleetError, match="no host"):
        fleet.find_group(inventory(all={"session_fleet_group": "wbe"}), optional=True)


SCOPE = {"name": "app", "path": "/app"}
VALUES = {
    **dict.fromkeys(fleet.SWITCHES, (True, False)), "session_check_via": ("controller", "node"),
    "session_serial": ([2], [3]), "session_ring_serial": ("50%", 1),
    "session_config_scopes": ([SCOPE], [{**SCOPE, "max_age": 60}]),
    "session_debug_nodes": ("w1", "w2"),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in VARIABLES if name != "session_fleet_group"])
def test_every_variable_works_from_everywhere_or_is_refused_there(name):
    one, other = VALUES.get(name, ("x", "y"))
    for said in ({"all": {name: one}}, {host: {name: one} for host in WEB}, {"everywhere": {name: one}},
                 {"everywhere": {name: one}, "w2": {name: other}}, {"db1": {name: other}}):
        fleet.judge(inventory(**said), "web")
    for said in ({"w2": {name: one}}, {"all": {name: one}, "w3": {name: other}}):
        if VARIABLES[name] == NODE:
            fleet.judge(inventory(**said), "web")
        else:
            with pytest.raises(FleetError, match=rf"{name} is a setting of the whole fleet.*(w2|w3)"):
                fleet.judge(inventory(**said), "web")


def test_values_are_not_in_the_sentence():
    with pytest.raises(FleetError) as caught:
        fleet.judge(inventory(w1={"session_store_admin": "a-secret"}, w2={"session_store_admin": "b-secret"}), "web")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("option", ["virtual_host_file", "port", "scheme", "directives", "log_level"])
def test_scopes_may_differ_in_what_no_browser_sees(option):
    fleet.judge(inventory(all={"session_config_scopes": [SCOPE]}, w2={"session_config_scopes": [{**SCOPE, option: "x"}]}), "web")


def test_different_texts_of_one_value_are_one():
    one = inventory(all={"session_check_ca": "{{ a }}"}, w2={"session_check_ca": "{{ b }}"})
    fleet.judge(Inventory(one.groups, one.chosen, one.said, {}, lambda host, name: "/ca.pem"), "web")


@pytest.mark.parametrize("name", fleet.SWITCHES)
def test_a_switch_is_on_or_off(name):
    for value in (True, False, "true", "False", "yes", "NO", "on", 1, "0", "y"):
        fleet.judge(inventory(all={name: value}), "web")
    for value in ("ture", "", None, "maybe", 2, [], "{{ x }}"):
        with pytest.raises(FleetError, match=rf"^{name}: expected true or false"):
            fleet.judge(inventory(all={name: value}), "web")


def test_a_word_is_one_of_those_that_are_read():
    for value in ("controller", "node"):
        fleet.judge(inventory(all={"session_check_via": value}), "web")
    for value in ("nodes", "", None, "ssh", True):
        with pytest.raises(FleetError, match="session_check_via: expected controller or node"):
            fleet.judge(inventory(all={"session_check_via": value}), "web")


def test_every_switch_of_a_playbook_is_known():
    text = "".join(path.read_text() for path in [*PLAYBOOKS, *TASKS])
    assert set(re.findall(r"(?<!_)(session_\w+) \| default\(\w+\) \| bool", text)) <= set(fleet.SWITCHES)
    assert set(re.findall(r"(?<!_)(session_\w+) \| default\('\w+'\) [!=]= '", text)) - {"session_ring_verb"} <= set(fleet.CHOICES)


@pytest.mark.parametrize("value, batches", [
    (1, [1]), ("1", [1]), ("25%", ["25%"]), ([1, "25%", "100%"], [1, "25%", "100%"]), ("[1, '50%']", [1, "50%"]),
    ("1,25%", [1, "25%"]), ([5, 100000], [5, 100000]),
])  # fmt: skip
def test_batches(value, batches):
    assert fleet.read_serial("session_serial", value) == batches


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", "x", "", None, [], {}, True, [1, 0], 1.5, "1e3", ["25 %"]])
def test_what_is_no_batch_is_refused(value):
    with pytest.raises(FleetError, match=r"^session_serial: .*expected"):
        fleet.read_serial("session_serial", value)


@pytest.mark.parametrize("value, names", [("", []), (None, []), ("a", ["a"]), ("a, b,", ["a", "b"]), (["a", "b"], ["a", "b"])])
def test_names_of_nodes(value, names):
    assert fleet.read_names(value) == names


def test_a_variable_that_is_not_read_is_named():
    assert fleet.unknown(["session_check_adress", "session_check_ca", "other", "session_zzz"]) == [
        "session_check_adress (do you mean session_check_address?)", "session_zzz",
    ]  # fmt: skip


# The table, and the playbooks

PLAYBOOKS = sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/parts/*.yml")])
PLAYS = [
    pytest.param(play, id=f"{path.name}:{play['name']}")
    for path in PLAYBOOKS if not path.name.startswith("store_") and path.name != "fleet.yml"
    for play in yaml.safe_load(path.read_text()) if "hosts" in play
]  # fmt: skip
TASKS = sorted(ROOT.glob("roles/*/tasks/*.yml"))
SEEN_BY_TASKS = {"tasks", "roles", "vars", "module_defaults"}
LOOKUP = "lookup('httpd_fleet.mod_session.session_fleet'"
EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when"}
MAGIC = {"ansible_check_mode", "ansible_play_hosts", "ansible_play_hosts_all", "groups", "hostvars", "inventory_hostname", "item",
         "lookup", "omit", "range"}


def names_in(path):
    """Variables that the expressions of a file read."""
    return set().union(*map(names, expressions(yaml.safe_load(path.read_text()))))


def names(text):
    """Variables that a template reads."""
    return {node.name for node in jinja2.Environment().parse(text).find_all(jinja2.nodes.Name)}


def expressions(node, bare=False):
    """Every template below a node; a condition is one without braces."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from expressions(value, key in EXPRESSIONS)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value, bare)
    elif isinstance(node, str):
        yield "{{ %s }}" % node if bare and "{{" not in node else node


def test_the_table_has_every_variable_that_anything_reads():
    options = {name for path in ROOT.glob("roles/*/meta/argument_specs.yml")
               for name in yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]}
    read = {name for path in [*PLAYBOOKS, *TASKS] for name in names_in(path) if name.startswith("session_")}
    # Read by plugins: where a node is; and what the keywords of plays need.
    plugins = {"session_check_address", "session_check_port", "session_check_node_address", "session_debug_nodes", *fleet.SERIALS}
    assert options | read | plugins == set(VARIABLES) and set(VARIABLES.values()) == {FLEET, NODE, SCOPES}


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_documented(name):
    pages = "".join(path.read_text() for path in [*PAGES, *ROOT.glob("roles/*/meta/argument_specs.yml")])
    assert re.search(rf"\b{name}\b", pages)


@pytest.mark.parametrize("play", PLAYS)
def test_a_play_s_keywords_read_what_the_first_play_found(play):
    assert LOOKUP in play["hosts"] and LOOKUP in play["strategy"]
    for keyword in set(play) - SEEN_BY_TASKS:
        for text in expressions(play[keyword]):
            assert all(name == "lookup" or name.startswith("_session_") for name in names(text)), keyword


@pytest.mark.parametrize("path", [path for path in PLAYBOOKS if path.parent.name == "playbooks"], ids=lambda path: path.name)
def test_every_playbook_begins_with_the_fleet(path):
    first = yaml.safe_load(path.read_text())[0]
    assert first["ansible.builtin.import_playbook"] == "parts/fleet.yml"


@pytest.mark.parametrize("path", [*PLAYBOOKS, *TASKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_without_our_prefix_is_read(path):
    assert {name for name in names_in(path) if not name.startswith(("session_", "_session_"))} <= MAGIC

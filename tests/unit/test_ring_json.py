# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ring is read back as it was written; whatever is wrong with a text is told, without a passphrase."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import Absence, MaxAge, problem
from plugins.module_utils.ring_json import RingFormatError, from_json, to_json

from .ring_stories import at, confirmed, first, promoted, retired, staged


@pytest.mark.parametrize("story", [first, staged, promoted, confirmed, retired])
def test_read_back(story):
    ages, absent = (MaxAge(0, 7), MaxAge(60, None, True)), (Absence("n1", 5, "ann", "why"),)
    ring = replace(story(), max_ages=ages, settled=("n1",), earlier=9, absent=absent)
    assert problem(ring) == ""
    assert from_json(to_json(ring)) == ring


def test_an_adopted_word_is_read_back():
    ring = replace(verbs.adopt("r", at(), ["wörd with \"quotes\""], "s1".lower), generation=1)
    assert from_json(to_json(ring)) == ring


def test_the_form_is_readable():
    data = json.loads(to_json(confirmed()))
    assert data["form"] == "httpd_fleet.mod_session/ring" and data["version"] == 1
    assert data["keys"][1]["demoted"] == "2027-01-15T08:00:20Z"
    assert data["history"][0]["time"] == "2027-01-15T08:00:00Z"


def changed(*path, to):
    def change(data):
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = to

    return change


def removed(*path):
    def change(data):
        for name in path[:-1]:
            data = data[name]
        del data[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("form", to="x"), "no ring"),
        (changed("version", to=2), "use a newer"),
        (changed("version", to="1"), "no version"),
        (removed("version"), "no version"),
        (removed("keys"), "keys is missing"),
        (changed("keys", to={}), "keys is no list"),
        (changed("keys", to=[]), "exactly one primary"),
        (changed("keys", to=[7]), "no mapping"),
        (changed("generation", to=True), "generation is no int"),
        (changed("generation", to=0), "id or generation"),
        (changed("changed_in", to=99), "id or generation"),
        (changed("id", to=""), "id or generation"),
        (changed("nodes", to=["n1", 2]), "nodes is no list of strings"),
        (changed("keys", 0, "state", to="secondary"), "exactly one primary"),
        (changed("keys", 1, "state", to="primary"), "exactly one primary"),
        (changed("keys", 1, "state", to="lost"), "unknown state"),
        (changed("keys", 1, "state", to=None), "no str"),
        (removed("keys", 0, "passphrase"), "passphrase of keys is missing"),
        (changed("keys", 0, "passphrase", to=""), "empty"),
        (changed("keys", 0, "passphrase", to="exec:/bin/date"), "exec:"),
        (changed("keys", 0, "weak", to=1), "no bool"),
        (changed("keys", 0, "created", to="yesterday"), "no time"),
        (changed("keys", 0, "created", to=None), "no time"),
        (changed("keys", 0, "created", to=5), "no time"),
        (changed("max_ages", to=[{"seconds": -1, "gone": None, "listed": True}]), "below 0"),
        (changed("max_ages", to=[{"seconds": 1, "gone": None, "listed": 1}]), "no bool"),
        (changed("settled", to="n1"), "settled is no list"),
        (removed("settled"), "settled is missing"),
        (changed("earlier", to="9"), "earlier is no int"),
        (changed("history", 0, "keys", to="abc"), "no list of strings"),
    ],
)
def test_damage_is_told(change, told):
    data = json.loads(to_json(confirmed()))
    change(data)
    with pytest.raises(RingFormatError) as error:
        from_json(json.dumps(data))
    assert told in str(error.value)


def test_two_keys_of_one_name_or_out_of_order():
    data = json.loads(to_json(confirmed()))
    data["keys"][1]["id"] = data["keys"][0]["id"]
    with pytest.raises(RingFormatError, match="id of its own"):
        from_json(json.dumps(data))
    ring = retired()
    data = json.loads(to_json(replace(ring, keys=(*ring.keys, replace(ring.keys[0], id="x", state="staged")))))
    with pytest.raises(RingFormatError, match="staged key, after"):
        from_json(json.dumps(data))


@given(st.integers(0, len(to_json(confirmed())) - 2))
def test_a_cut_text_is_damaged(length):
    with pytest.raises(RingFormatError):
        from_json(to_json(confirmed())[:length])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)),
       st.sampled_from(["id", "keys", "max_ages", "nodes", "absent", "history", "generation"]))
def test_any_damage_is_an_error_of_ours(value, name):
    data = json.loads(to_json(confirmed()))
    data[name] = value
    try:
        from_json(json.dumps(data))
    except RingFormatError as error:
        assert not any(key.passphrase in str(error) for key in confirmed().keys)

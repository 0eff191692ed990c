# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done with a ring, and when. Every verb returns a new ring, the very same one where nothing was to be done,
or raises :class:`~.ring.Refusal`. Random bytes and times are arguments. docs/rotation.md has the argument of safety.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .passphrases import GENERATED_BYTES, HIDDEN, MAX_KEYS, PassphraseError, fingerprint, is_weak, validate
from .ring import (
    ADOPTED,
    GENERATED,
    PRIMARY,
    RETIRED,
    REVOKED,
    SECONDARY,
    STAGED,
    Absence,
    Key,
    Margins,
    MaxAge,
    Refusal,
    Ring,
    Stamp,
    not_before,
)
from .ring_evidence import UNKNOWN, UNLISTED, Evidence, NodeSeen
from .ring_gate import fleet_of, nodes_against, refuse_nodes, require_current
from .ring_times import moment

Draw = Callable[[], bytes]
"""A source of 32 random bytes."""

DRAWS = 100
"""Times that a key is drawn at most; one in a thousand has no public name, so that a good source never comes near."""


def make_key(draw: Draw, state: str, stamp: Stamp, taken: Sequence[str] = ()) -> Key:
    """A new key of 32 random bytes: 43 characters of base64url. It is drawn again where it cannot be named.

    :param taken: ids that it must not have.
    :raises ValueError: other than 32 bytes, or a source that gives nothing new.
    """
    for _draw in range(DRAWS):
        secret = draw()
        if len(secret) != GENERATED_BYTES:
            raise ValueError("a key is made from %d random bytes, not %d" % (GENERATED_BYTES, len(secret)))
        passphrase = base64.urlsafe_b64encode(secret).decode("ascii").rstrip("=")
        name = fingerprint(passphrase)
        if name not in (HIDDEN, *taken):
            return Key(name, passphrase, state, GENERATED, False, stamp.time)
    raise ValueError("the source of random bytes gave no new key in %d draws: it is not random" % DRAWS)


def init(ring_id: str, stamp: Stamp, draw: Draw, nodes: Sequence[str] = (), max_ages: Sequence[int] = ()) -> Ring:
    """A new ring with one generated key. ``ring_id``: random; ``nodes``: the fleet's; ``max_ages``: seconds, in force."""
    ring = _blank(ring_id, nodes, max_ages)
    key = replace(make_key(draw, PRIMARY, stamp), promoted=stamp.time)
    return ring.with_keys(key).with_event(stamp, "init", (key,), "generated")


def adopt(
    ring_id: str,
    stamp: Stamp,
    passphrases: Sequence[str],
    spare: Callable[[], str],
    nodes: Sequence[str] = (),
    max_ages: Sequence[int] = (),
) -> Ring:
    """A new ring with the passphrases that a fleet already uses, in httpd's order, weak ones too.

    :param spare: a source of random ids, for those that must not be named by their fingerprint.
    :raises Refusal: ``bad_key`` for a list that httpd would misread.
    """
    try:
        texts, _warnings = validate(list(passphrases), allow_weak=True)
    except PassphraseError as error:
        raise Refusal("bad_key", "cannot adopt: %s" % error) from error
    keys: List[Key] = []
    for text in texts:
        name, taken = fingerprint(text), (HIDDEN, *(key.id for key in keys))
        while name in taken:
            name = spare()
        key = Key(name, text, SECONDARY if keys else PRIMARY, ADOPTED, is_weak(text), stamp.time)
        keys.append(replace(key, demoted=stamp.time) if keys else replace(key, promoted=stamp.time))
    ring = _blank(ring_id, nodes, max_ages).with_keys(*keys)
    weak = [key.id for key in keys if key.weak]
    return ring.with_event(stamp, "init", tuple(keys), "adopted" + (", weak: " + ", ".join(weak) if weak else ""))


def _blank(ring_id: str, nodes: Sequence[str], max_ages: Sequence[int]) -> Ring:
    ages = tuple(MaxAge(seconds, listed=True) for seconds in sorted(set(max_ages)))
    return Ring(ring_id, nodes=tuple(sorted(set(nodes))), max_ages=ages)


def stage(ring: Ring, stamp: Stamp, draw: Draw) -> Ring:
    """Add a key that decrypts and will encrypt next. Nothing to do where one is staged already.

    :raises Refusal: ``full``.
    """
    if ring.staged:
        return ring
    if len(ring.live) >= MAX_KEYS:
        raise Refusal("full", "the ring has %d live keys, no more are accepted: retire the oldest first" % len(ring.live))
    key = replace(make_key(draw, STAGED, stamp, [key.id for key in ring.keys]), staged=stamp.time)
    return ring.with_keys(*ring.keys, key).with_event(stamp, "stage", (key,), "generated")


def promote(ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
    """Have the staged key encrypt; the primary becomes a secondary. Nothing to do right after it was done.

    :raises Refusal: ``nothing_staged``, ``other_ring``, ``old_evidence``, or ``nodes`` unless every node of the fleet
        accepts every live key and encrypts with one of them.
    """
    key = ring.staged
    if key is None:
        if _last_change(ring) == "promote":
            return ring
        raise Refusal("nothing_staged", "no key is staged: stage one, deploy it, and check, before you promote it")
    ring = observe(ring, stamp, evidence)
    live = frozenset(one.id for one in ring.live)

    def wrong(seen: NodeSeen) -> str:
        missing = sorted(live - seen.accepts)
        if missing:
            return "does not accept %s" % " ".join(missing)
        return "" if seen.encrypts_with <= live else "encrypts with a key that is not in the ring"

    count = refuse_nodes(ring, evidence, wrong, "promote", "accept every key of the ring")
    old = replace(ring.primary, state=SECONDARY, demoted=stamp.time, proven=None)
    new = replace(key, state=PRIMARY, promoted=stamp.time)
    rest = [one for one in ring.keys if one.id not in (old.id, new.id)]
    summary = "%s accept it, checked at %s" % (count, moment(evidence.ended))
    return ring.with_keys(new, old, *rest).with_event(stamp, "promote", (new, old), summary)


def _last_change(ring: Ring) -> str:
    """The verb that changed the keys last."""
    verbs = [event.verb for event in ring.history if event.verb in ("init", "stage", "promote", "retire", "revoke")]
    return verbs[-1] if verbs else ""


def retire(ring: Ring, stamp: Stamp, evidence: Evidence, margins: Margins) -> Ring:
    """Take the secondaries whose last session has ended out of the list. Nothing to do where there is none.

    :raises Refusal: ``nodes`` unless every node encrypts with the primary, ``clock``, ``max_age_zero``, ``not_yet``, ``margins``.
    """
    if not ring.secondaries:
        return ring
    wrong = margins.problem(evidence.tolerance)
    if wrong:
        raise Refusal("margins", "cannot retire: %s" % wrong)
    ring = observe(ring, stamp, evidence)
    count = refuse_nodes(ring, evidence, not_primary(ring), "retire", "encrypt with the primary %s" % ring.primary.id)
    if evidence.clock not in ("ok", "warn"):
        raise Refusal(
            "clock",
            "cannot retire: the clocks of the fleet are %s, so that nobody can say which sessions have "
            "ended. Repair the time on the nodes that the check names, and check again" % evidence.clock,
        )
    endless = sorted(scope for scope, ages in evidence.max_ages.items() if 0 in ages)
    if endless:
        raise Refusal(
            "max_age_zero",
            "cannot retire: sessions of %s never end (max age 0), so that there is always one "
            "under the old key. Set a max age there" % ", ".join(endless),
        )
    dates = {key: not_before(ring, key, margins) for key in ring.secondaries}
    due = [key for key, date in dates.items() if date is not None and date <= evidence.earliest]
    if not due:
        known = [date for date in dates.values() if date is not None]
        if not known:
            raise Refusal(
                "max_age_zero",
                "cannot retire: there were sessions without end (max age 0), and an idle one may "
                "still be under the old key. Say how long one may be idle before its loss is "
                "accepted (endless)",
            )
        raise Refusal(
            "not_yet",
            "cannot retire yet: sessions under the old key live until %s at the latest. Run again "
            "after that" % moment(min(known)),
            not_before=min(known),
        )
    gone = [replace(key, state=RETIRED, removed=stamp.time) for key in due]
    rest = [key for key in ring.keys if key not in due]
    summary = "%s encrypt with %s, checked at %s" % (count, ring.primary.id, moment(evidence.ended))
    return ring.with_keys(*rest, *gone).with_event(stamp, "retire", tuple(gone), summary)


def revoke(ring: Ring, stamp: Stamp, draw: Draw, leaked: Optional[str] = None) -> Ring:
    """Drop every key and begin with a new one; every session ends. Each time: the new key of a revocation that no node has
    proven yet may have leaked as well.

    :param leaked: id of the key that leaked; None: the one that encrypts.
    :raises Refusal: ``bad_key`` for an id that the ring does not have, or whose key is revoked.
    """
    by_id = {key.id: key for key in ring.keys}
    if leaked is not None and leaked not in by_id:
        raise Refusal("bad_key", "the ring has no key %s; it has %s" % (leaked, " ".join(by_id)))
    if leaked is not None and by_id[leaked].state == REVOKED:
        raise Refusal(
            "bad_key",
            "key %s is revoked since %s, %s encrypts now: nothing was changed. The playbook rotate brings this to the nodes "
            "that lack it. If %s has leaked too, revoke again without session_ring_key"
            % (leaked, moment(by_id[leaked].removed or 0), ring.primary.id, ring.primary.id),
        )
    new = replace(make_key(draw, PRIMARY, stamp, list(by_id)), promoted=stamp.time)
    gone = [replace(key, state=REVOKED, removed=stamp.time) for key in ring.keys if key.state != REVOKED]
    rest = [key for key in ring.keys if key.state == REVOKED]
    summary = "every session ends; leaked: %s" % (leaked or ring.primary.id)
    return ring.with_keys(new, *rest, *gone).with_event(stamp, "revoke", (new, *gone), summary)


def absent(ring: Ring, stamp: Stamp, node: str, reason: str = "", inventory: Sequence[str] = ()) -> Ring:
    """Record that a node is not there and gets no traffic: while it is silent no gate waits for it.

    Said again with another reason, the reason is replaced.

    :param inventory: the fleet as the inventory has it; a node of it may not have been seen yet.
    :raises Refusal: ``unknown_node``.
    """
    known = {item.node: item for item in ring.absent}
    if node in known and reason in ("", known[node].reason):
        return ring
    if node not in (*ring.nodes, *inventory):
        raise _unknown(ring, node)
    rest = tuple(item for item in ring.absent if item.node != node)
    item = replace(known[node], reason=reason) if node in known else Absence(node, stamp.time, stamp.who, reason)
    ring = replace(ring, nodes=tuple(sorted({*ring.nodes, node})), absent=(*rest, item))
    return ring.with_event(stamp, "absent", (), node + (": " + reason if reason else ""))


def _unknown(ring: Ring, node: str) -> Refusal:
    return Refusal("unknown_node", "no node %s is known to this ring, which knows %s" % (node, " ".join(ring.nodes)))


def present(ring: Ring, stamp: Stamp, node: str, evidence: Evidence) -> Ring:
    """Let a new node, or one that was absent, have traffic: from now on every gate needs it.

    :raises Refusal: ``nodes`` unless it has the whole ring, ``other_ring``, ``old_evidence``.
    """
    require_current(ring, stamp, evidence)
    seen = evidence.nodes.get(node, NodeSeen())
    live = frozenset(key.id for key in ring.live)
    removed = frozenset(key.id for key in ring.removed)
    why = ""
    if not seen.answered:
        why = "gave no answer"
    elif live - seen.accepts:
        why = "does not accept %s" % " ".join(sorted(live - seen.accepts))
    elif seen.encrypts_with != {ring.primary.id}:
        why = "does not encrypt with the primary %s" % ring.primary.id
    elif removed & seen.accepts:
        why = "still accepts %s" % " ".join(sorted(removed & seen.accepts))
    if why:
        raise Refusal("nodes", "%s is not ready for traffic: it %s. Deploy to it and check again" % (node, why), {node: why})
    known = node in ring.nodes and node not in ring.absentees
    ring = observe(ring, stamp, evidence)
    if known:
        return ring
    if node not in ring.settled:  # it may serve what the others gave up
        ring = replace(ring, max_ages=tuple(replace(age, gone=None) for age in ring.max_ages))
    ring = replace(ring, absent=tuple(item for item in ring.absent if item.node != node))
    return ring.with_event(stamp, "present", (), "%s has the whole ring, checked at %s" % (node, moment(evidence.ended)))


def forget(ring: Ring, stamp: Stamp, node: str, inventory: Sequence[str]) -> Ring:
    """A node has left the fleet for good. Nothing to do where it was forgotten before.

    :raises Refusal: ``in_inventory`` where it has not; ``unknown_node`` for a name that the ring never had.
    """
    if node in inventory:
        raise Refusal("in_inventory", "%s is in the inventory: take it out there first" % node)
    if node not in ring.nodes:
        if any(event.verb == "forget" and event.summary == node for event in ring.history):
            return ring
        raise _unknown(ring, node)
    ring = replace(
        ring,
        nodes=tuple(name for name in ring.nodes if name != node),
        settled=tuple(name for name in ring.settled if name != node),
        absent=tuple(item for item in ring.absent if item.node != node),
    )
    return ring.with_event(stamp, "forget", (), node)


def tell(ring: Ring, max_ages: Sequence[int]) -> Ring:
    """Learn of max ages (seconds) that are or were in force and that no check saw, so that they count too."""
    ages = {age.seconds: age for age in ring.max_ages}
    for seconds in max_ages:
        ages[seconds] = replace(ages.get(seconds, MaxAge(seconds)), gone=None)
    known = tuple(ages[seconds] for seconds in sorted(ages))
    return ring if known == ring.max_ages else replace(ring, max_ages=known)


def earlier(ring: Ring, seconds: int) -> Ring:
    """Learn of the longest max age of before the ring was made: sessions under adopted keys may live that long."""
    return ring if ring.earlier == seconds else replace(tell(ring, [seconds]), earlier=seconds)


def bring(ring: Ring, max_ages: Sequence[int]) -> Ring:
    """A deploy is about to bring a list of scopes with these max ages (seconds) to nodes.

    Until one has brought it to all of them, nothing that nodes had before is given up.
    """
    ring = tell(ring, max_ages)
    if {age.seconds for age in ring.max_ages if age.listed} == set(max_ages):
        return ring
    listed = tuple(replace(age, listed=age.seconds in max_ages) for age in ring.max_ages)
    return replace(ring, max_ages=listed, settled=())


def brought(ring: Ring, max_ages: Sequence[int], nodes: Sequence[str]) -> Ring:
    """A deploy has ended: these nodes serve a list of scopes with these max ages (seconds), and nothing else.

    Where a deploy with another list began meanwhile, nobody can say which of them a node has: no node counts.
    """
    before = {age.seconds for age in ring.max_ages if age.listed}
    ring = bring(ring, max_ages)
    if before and before != set(max_ages):
        return ring
    settled = tuple(sorted({*ring.settled, *nodes}))
    return ring if settled == ring.settled else replace(ring, settled=settled)


def observe(ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
    """Learn what a check saw: nodes, max ages, that old keys encrypt nowhere any more, that removed ones are refused.

    :raises Refusal: ``other_ring``, ``old_evidence``.
    """
    require_current(ring, stamp, evidence)
    ring = replace(ring, nodes=tuple(sorted({*ring.nodes, *evidence.nodes})))
    ring = _learn_max_ages(ring, evidence)
    ring = _learn_where_keys_encrypt(ring, stamp, evidence)
    return _forget_refused_keys(ring, stamp, evidence)


def _learn_max_ages(ring: Ring, evidence: Evidence) -> Ring:
    """What is in force now, and since when something is not.

    Only all nodes together can say that it is gone, each with a cookie in every scope that was probed; and a scope that is
    probed no more only when a deploy has brought every node, absent ones too, a list without it.
    """
    seen = {seconds for ages in evidence.max_ages.values() for seconds in ages}
    shown = not nodes_against(ring, evidence, lambda node: "shows no session" if UNLISTED in node.encrypts_with else "")
    complete = shown and {*ring.nodes, *evidence.nodes} <= set(ring.settled)
    ages: Dict[int, MaxAge] = {age.seconds: age for age in ring.max_ages}
    for seconds, age in ages.items():
        if seconds in seen or age.listed:
            ages[seconds] = replace(age, gone=None)
        elif complete and age.gone is None:
            ages[seconds] = replace(age, gone=evidence.latest)
    for seconds in seen:
        ages.setdefault(seconds, MaxAge(seconds))
    return replace(ring, max_ages=tuple(ages[seconds] for seconds in sorted(ages)))


def _learn_where_keys_encrypt(ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
    """A secondary's wait begins once every node encrypts with the primary, and begins anew where it encrypts again."""
    used = {key for seen in evidence.nodes.values() for key in seen.encrypts_with}
    everywhere = evidence.clock != UNKNOWN and not nodes_against(ring, evidence, not_primary(ring))
    keys: List[Key] = []
    changed: List[Tuple[str, Key]] = []
    for key in ring.keys:
        if key.state == SECONDARY and key.proven is not None and key.id in used:
            key = replace(key, proven=None)
            changed.append(("reopen", key))
        elif key.state == SECONDARY and key.proven is None and everywhere:
            key = replace(key, proven=evidence.latest)
            changed.append(("confirm", key))
        keys.append(key)
    ring = replace(ring, keys=tuple(keys))
    for verb, key in changed:
        where = sorted(name for name, seen in evidence.nodes.items() if key.id in seen.encrypts_with)
        told = (
            "encrypts again on " + ", ".join(where)
            if verb == "reopen"
            else ("%s encrypt with %s" % (fleet_of(ring, evidence), ring.primary.id))
        )
        ring = ring.with_event(stamp, verb, (key,), told)
    return ring


def _forget_refused_keys(ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
    """The passphrase of a removed key is needed only to prove that nobody accepts it, absent nodes included."""
    names = {*ring.nodes, *evidence.nodes}
    gone = tuple(
        key for key in ring.removed if names and all(key.id in evidence.nodes.get(name, NodeSeen()).refuses for name in names)
    )
    if not gone:
        return ring
    ring = replace(ring, keys=tuple(key for key in ring.keys if key not in gone))
    return ring.with_event(stamp, "erase", gone, "%d/%d nodes refuse it" % (len(names), len(names)))


def not_primary(ring: Ring) -> Callable[[NodeSeen], str]:
    """The test that a node encrypts with the primary everywhere."""

    def wrong(seen: NodeSeen) -> str:
        others = sorted(seen.encrypts_with - {ring.primary.id})
        if not others and seen.encrypts_with:
            return ""
        return "encrypts with %s" % (" ".join(others).strip() or "something else")

    return wrong

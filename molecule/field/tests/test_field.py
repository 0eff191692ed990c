# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each site of tests/field: deployed, checked, rotated and diagnosed, and nobody there is disturbed."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import field_sites


@pytest.fixture(scope="module")
def journeys(request):
    """Every chosen site's journey, begun: as many at once as there are pairs of nodes."""
    field_sites.fleet("down")
    field_sites.fleet("up")
    field_sites.prepare()
    free = queue.SimpleQueue()
    lanes = field_sites.lanes()
    for lane in lanes:
        free.put(lane)

    def go(site):
        lane = free.get()
        try:
            field_sites.Journey(site, lane).go()
        finally:
            free.put(lane)

    chosen = [item.callspec.params["site"] for item in request.session.items if "site" in getattr(item, "callspec", item).params]
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            yield {site.name: pool.submit(go, site) for site in chosen}
        finally:
            pool.shutdown(cancel_futures=True)
            field_sites.fleet("down")


@pytest.mark.parametrize("site", field_sites.sites(), ids=lambda site: site.name)
def test_site(site, journeys):
    journeys[site.name].result()

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html in headless Chromium: nothing sticks out at any width, and it is readable by day and by night."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from test_report import EVIL, FAULTS, made

from plugins.plugin_utils import report_html

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), "")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

MEASURE = """
const frame = document.querySelector('iframe'), inside = frame.contentDocument, view = frame.contentWindow;
const scrolls = (node) => node && (node.matches('.scroll') || scrolls(node.parentElement));
const all = [...inside.body.querySelectorAll('*')];
const wide = all.filter((node) => !scrolls(node) && !node.closest('.hidden, .skip, svg') &&
  node.getBoundingClientRect().right > view.innerWidth + 1).map((node) => node.tagName + '.' + node.className);
const light = (text) => { const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((v) => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (node) => { const colour = view.getComputedStyle(node).backgroundColor;
  return /^rgb\\(/.test(colour) ? colour : node.parentElement ? behind(node.parentElement) : 'rgb(255, 255, 255)'; };
const words = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
const shown = all.filter((node) => words(node) && !node.closest('.hidden, .skip, [aria-hidden], title'));
const faint = shown.filter((node) => { const one = light(view.getComputedStyle(node).color), other = light(behind(node));
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5; })
  .map((node) => node.tagName + '.' + node.className);
const found = {faint: [...new Set(faint)], wide: [...new Set(wide)], text: inside.body.innerText.slice(0, 200),
  over: inside.documentElement.scrollWidth - inside.documentElement.clientWidth,
  paper: light(view.getComputedStyle(inside.body).backgroundColor)};
document.body.innerHTML = '<pre>' + JSON.stringify(found) + '</pre>';
"""


def measure(page, width, folder, dark=False):
    """What a browser makes of a page in a window of so many pixels."""
    wrapper = folder / "wrapper.html"
    page = html.escape(page, quote=True)
    wrapper.write_text(
        f'<body style="margin:0"><iframe width="{width}" height="900" style="border:0" srcdoc="{page}"></iframe>'
        f"<script>onload = () => {{ {MEASURE} }}</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={folder / 'profile'}",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--window-size=1400,1000", "--dump-dom",
         wrapper.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"<pre>(.*)</pre>", done.stdout, re.S)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize(("size", "faults"), [(3, None), (12, FAULTS), (1000, FAULTS)])
def test_nothing_sticks_out_and_nothing_is_faint(size, faults, width, tmp_path):
    seen = measure(report_html.render(made(size, faults)), width, tmp_path)
    assert (seen["over"], seen["wide"]) == (0, [])
    assert seen["faint"] == []
    assert seen["paper"] > 0.8


def test_by_night(tmp_path):
    seen = measure(report_html.render(made(12, FAULTS)), 1200, tmp_path, dark=True)
    assert seen["paper"] < 0.05 and seen["faint"] == []


def test_long_names(tmp_path):
    seen = measure(report_html.render(made(12, FAULTS, name="a-very-long-name-of-a-node." * 6)), 390, tmp_path)
    assert (seen["over"], seen["wide"]) == (0, [])
    seen = measure(report_html.render(made(3, FAULTS, name=EVIL)), 390, tmp_path)
    assert seen["over"] == 0 and "Failed" in seen["text"]

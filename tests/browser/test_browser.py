# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser on the demo: one session, whichever node answers and whichever is away."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / ".cache" / "browser"
PAGE = "https://127.0.31.10:20443/app/"
NODES = {"node1", "node2", "node3"}


def fleet(verb: str, *names: str) -> int:
    """Run the fleet tool on the demo; its exit status."""
    command = [sys.executable, "demo/fleet.py", verb, "demo/fleet.json", *names]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=120, check=False).returncode


@pytest.fixture(scope="module")
def demo() -> Iterator[None]:
    """The demo with sessions deployed; one that was not there before is removed afterwards."""
    was_there = fleet("status") == 0
    subprocess.run(["make", "-s", "demo-deploy"], cwd=ROOT, timeout=1800, check=True)
    yield
    if was_there:
        assert fleet("start", *sorted(NODES)) == 0
    else:
        subprocess.run(["make", "-s", "demo-down"], cwd=ROOT, timeout=300, check=True)


@pytest.fixture
def browser(demo: None, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a window and without a past, which trusts the demo's certificate and no other unknown one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    assert chromium and driver, "no chromium with its chromedriver: `make deps-browser` installs them"
    certificate = x509.load_pem_x509_certificate((ROOT / ".cache/demo/shop.pem").read_bytes())
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=900,1250",
        f"--user-data-dir={tmp_path}/profile",
        f"--ignore-certificate-errors-spki-list={base64.b64encode(hashlib.sha256(public_key).digest()).decode()}",
    ):  # fmt: skip
        options.add_argument(word)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    chrome.set_page_load_timeout(30)
    try:
        yield chrome
        PICTURES.mkdir(parents=True, exist_ok=True)
        chrome.save_screenshot(str(PICTURES / "page.png"))
    finally:
        chrome.quit()


class Visitor:
    """A person in front of the browser, who remembers how often they came."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome
        self.visits = 0

    def text(self, css: str) -> str:
        """The text of the one element that fits."""
        return self.chrome.find_element(By.CSS_SELECTOR, css).text

    def look(self) -> str:
        """Check that the page that is shown counts this visit; the node that it came from."""
        self.visits += 1
        assert self.text("#count") == str(self.visits), f"the session was lost on {self.text('#node')}"
        return self.text("#node")

    def reload(self) -> str:
        """Load the page again, and look."""
        self.chrome.get(PAGE)
        return self.look()

    def reload_until(self, enough: Callable[[set[str]], bool], seconds: float = 30) -> set[str]:
        """Reload until enough nodes have answered; those that did."""
        seen: set[str] = set()
        deadline = time.monotonic() + seconds
        while not enough(seen):
            assert time.monotonic() < deadline, f"only {sorted(seen)} answered"
            seen.add(self.reload())
        return seen

    def fill_in(self, button_of: str, **fields: str) -> None:
        """Fill in a form, send it, and look at the page that comes."""
        form = self.chrome.find_element(By.CSS_SELECTOR, f'form[action="{button_of}"]')
        for name, value in fields.items():
            form.find_element(By.NAME, name).send_keys(value)
        self.click(form.find_element(By.TAG_NAME, "button"))

    def click(self, element: WebElement) -> None:
        """Click on something that leads to another page, wait until that is there, and look."""
        before = self.chrome.find_element(By.TAG_NAME, "html")
        element.click()
        WebDriverWait(self.chrome, 30).until(staleness_of(before))
        self.look()


def test_one_session_on_all_nodes_while_one_goes_and_returns(browser: webdriver.Chrome) -> None:
    visitor = Visitor(browser)
    visitor.reload_until(lambda seen: seen == NODES)

    visitor.fill_in("/app/notes", note="tea & <milk>")
    visitor.fill_in("/app/login", httpd_username="alice", httpd_password="wonderland")
    assert visitor.text("#user") == "alice"
    assert visitor.text("#notes") == "tea & <milk>"

    assert fleet("stop", "node2") == 0
    others = NODES - {"node2"}
    assert visitor.reload_until(lambda seen: seen == others) == others
    for _ in range(4):
        assert visitor.reload() in others
        assert visitor.text("#user") == "alice"

    assert fleet("start", "node2") == 0
    visitor.reload_until(lambda seen: "node2" in seen)
    assert visitor.text("#node") == "node2"
    assert visitor.text("#user") == "alice"
    assert visitor.text("#notes") == "tea & <milk>"


def test_logging_out_ends_the_login_and_keeps_the_rest(browser: webdriver.Chrome) -> None:
    visitor = Visitor(browser)
    visitor.reload()
    visitor.fill_in("/app/login", httpd_username="alice", httpd_password="wrong")
    assert "not right" in visitor.text("[role=alert]")
    visitor.fill_in("/app/login", httpd_username="alice", httpd_password="wonderland")
    visitor.click(browser.find_element(By.LINK_TEXT, "Log out"))
    for _ in NODES:
        assert not browser.find_elements(By.ID, "user")
        visitor.reload()


def test_the_cookie_is_one_that_only_the_servers_can_read(browser: webdriver.Chrome) -> None:
    visitor = Visitor(browser)
    visitor.reload()
    visitor.fill_in("/app/login", httpd_username="alice", httpd_password="wonderland")
    (cookie,) = browser.get_cookies()
    assert cookie["name"] == "shop_session"
    attributes = {name: cookie[name] for name in ("path", "secure", "httpOnly", "sameSite")}
    assert attributes == {"path": "/app", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    assert 3500 < cookie["expiry"] - time.time() <= 3600
    assert browser.execute_script("return document.cookie") == ""
    sealed = base64.b64decode(cookie["value"])
    for told in (b"count", b"alice", b"wonderland"):
        assert told not in sealed

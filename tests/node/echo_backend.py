# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend for tests, on 127.0.0.1:9001: answers the headers it got as JSON; ``/app/set?x=1`` puts x=1 into the session."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Echo(BaseHTTPRequestHandler):
    """Says what it was asked, and how often it was asked."""

    asked = 0

    def do_GET(self):
        """Answer."""
        Echo.asked += 1
        body = json.dumps({"asked": Echo.asked, "headers": self.headers.items()}).encode()
        self.send_response(200)
        if "/set?" in self.path:
            self.send_header("X-Replace-Session", self.path.partition("?")[2])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", 9001), Echo).serve_forever()

-- Copyright: (c) 2026, the httpd_fleet.mod_session authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A page for tests, inside httpd: answers the size and the MD5 of its session; asked with ?abc,65536 it puts that many
-- characters of abcabc... into it.
function handle(r)
    local session = (r.headers_in["X-Session"] or ""):gsub("&?expiry=%d+", "")
    local seed, size = (r.args or ""):match("^(%w+),(%d+)$")
    if seed then
        size = tonumber(size)
        r.headers_out["X-Replace-Session"] = "data=" .. seed:rep(math.ceil(size / #seed)):sub(1, size)
    end
    r.content_type = "text/plain"
    r:puts(#session .. " " .. r:md5(session))
    return apache2.OK
end

"""The application behind the proxy: it is given the session in X-Session, and writes it with X-Replace-Session."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        missing = self.path.startswith("/missing")
        text = f"{self.path} session: {self.headers['X-Session']} cookie: {self.headers['Cookie']}\n".encode()
        self.send_response(404 if missing else 200)
        if self.path == "/login":
            self.send_header("X-Replace-Session", "user=anna")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("127.0.0.1", 9000), App).serve_forever()

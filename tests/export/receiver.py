#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server that takes one POST request and ends. It prints the address that it listens at, then the
request's path and type; the body goes to a file.

    receiver.py BODY_FILE
"""
import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with open(sys.argv[1], "wb") as body:
            body.write(self.rfile.read(int(self.headers["Content-Length"])))
        print(self.path, self.headers["Content-Type"], flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.handle_request()

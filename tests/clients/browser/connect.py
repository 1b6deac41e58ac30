"""The Connect client in headless Chromium, from a page of another origin than the server's.

    python connect.py SERVER USER PASSWORD FOLDER_OF_THE_BUNDLE PORT_OF_THE_PAGE
"""

import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from window import browser, check

PAGE = '<!doctype html><meta charset="utf-8"><title>Connect</title><script type="module" src="client.js"></script>'


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main(server, user, password, bundle, port):
    Path(bundle, "index.html").write_text(PAGE)
    pages = ThreadingHTTPServer(("127.0.0.1", int(port)), partial(Quiet, directory=bundle))
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    with browser() as launched:
        page = launched.new_page()
        page.goto(f"http://localhost:{port}/index.html")
        page.wait_for_function("globalThis.run !== undefined")
        checks = page.evaluate("([server, user, password]) => run(server, user, password)", [server, user, password])
        for holds, what in checks:
            check(holds, what)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Speaks to fake-gcs-server what object_store speaks to Google Cloud Storage.

object_store creates by an XML `PUT /bucket/object` with `x-goog-if-generation-match: 0`, which the fake answers with
400. Its JSON upload works, and of that only the multipart form heeds the condition, so a put becomes one. Lists by
`start-after` are answered whole there, so what lies before is taken out here. The rest passes as it is.

    gcs_proxy.py PORT FAKE_PORT
"""

import http.client
import json
import re
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import unescape

TIMEOUT_S = 60
# Headers of a hop, which each side writes for itself.
HOP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
METADATA = "x-goog-meta-"
LISTED = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT_S
    fake_port = 0

    def setup(self):
        super().setup()
        self.fake = http.client.HTTPConnection("127.0.0.1", self.fake_port, timeout=TIMEOUT_S)

    def finish(self):
        self.fake.close()
        super().finish()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        _, bucket, *name = url.path.split("/", 2)
        try:
            if self.command == "PUT" and name and not query and "x-goog-copy-source" not in self.headers:
                self.put(bucket, urllib.parse.unquote(name[0]), body)
            elif self.command == "GET" and not name and "start-after" in query:
                self.list_after(headers, query["start-after"])
            else:
                self.answer(*self.ask(self.command, self.path, body, headers))
        except (OSError, http.client.HTTPException) as error:
            # The fake is gone. Its client sees what it would see of a server that died: no answer.
            self.log_error("%s %s: %r", self.command, self.path, error)
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def ask(self, method, target, body, headers):
        self.fake.request(method, target, body, {**headers, "content-length": str(len(body))})
        answer = self.fake.getresponse()
        return answer.status, answer.headers, answer.read()

    def put(self, bucket, name, body):
        given = self.headers
        meta = {
            "name": name,
            "contentType": given.get("content-type"),
            "contentEncoding": given.get("content-encoding"),
            "cacheControl": given.get("cache-control"),
            "metadata": {k[len(METADATA) :]: v for k, v in given.items() if k.lower().startswith(METADATA)},
        }
        query = {"uploadType": "multipart", "name": name}
        if "x-goog-if-generation-match" in given:
            query["ifGenerationMatch"] = given["x-goog-if-generation-match"]
        boundary = separator_for(body)
        text = json.dumps({key: value for key, value in meta.items() if value}).encode()
        parts = (
            b"--%b\r\ncontent-type: application/json\r\n\r\n%b\r\n" % (boundary, text)
            + b"--%b\r\ncontent-type: application/octet-stream\r\n\r\n%b\r\n--%b--\r\n" % (boundary, body, boundary)
        )
        status, headers, text = self.ask(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}",
            parts,
            {"content-type": f"multipart/related; boundary={boundary.decode()}"},
        )
        if status != 200:
            return self.answer(status, headers, text)
        made = json.loads(text)
        self.answer(200, {"etag": f'"{made["etag"]}"', "x-goog-generation": made["generation"]}, b"")

    def list_after(self, headers, offset):
        status, headers, text = self.ask("GET", self.path, b"", headers)

        def kept(entry):
            return entry[0] if unescape(KEY.search(entry[0])[1].decode()).encode() > offset.encode() else b""

        self.answer(status, headers, LISTED.sub(kept, text) if status == 200 else text)

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        # A HEAD says how long the object is and sends nothing of it.
        length = headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("content-length", length)
        self.end_headers()
        self.wfile.write(body)


def separator_for(body):
    number = 0
    while (boundary := b"kaffic-%d" % number) in body:
        number += 1
    return boundary


class Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    port, Handler.fake_port = (int(arg) for arg in sys.argv[1:])
    with Proxy(("127.0.0.1", port), Handler) as proxy:
        proxy.serve_forever()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A registry with one image of so many layers of 1 GB, which are made while they are sent and take no disk. Nothing can unpack them.

usage: large.py PORT GIGABYTES      (prints the image's name once it listens)
"""
import hashlib, json, os, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK, BLOCKS = 1 << 20, 1000
NOISE = os.urandom(BLOCK)


def blocks(layer):
    """The bytes of a layer: the number of each block, then the same noise, which stands for what no one can compress."""
    for block in range(BLOCKS):
        yield f"{layer:08d}{block:08d}".encode()
        yield memoryview(NOISE)[16:]


def digest_of(layer):
    digest = hashlib.sha256()
    for piece in blocks(layer):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def descriptor(kind, digest, size):
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": size}


port, count = int(sys.argv[1]), int(sys.argv[2])
LAYERS = {digest_of(layer): layer for layer in range(count)}
rootfs = {"type": "layers", "diff_ids": list(LAYERS)}
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
CONFIG_DIGEST = "sha256:" + hashlib.sha256(CONFIG).hexdigest()
MANIFEST = json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": descriptor("config.v1+json", CONFIG_DIGEST, len(CONFIG)),
    "layers": [descriptor("layer.v1.tar", digest, BLOCK * BLOCKS) for digest in LAYERS],
}).encode()


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def head(self, kind, length, digest):
        self.send_response(200)
        for name, value in (("Content-Type", kind), ("Content-Length", str(length)), ("Docker-Content-Digest", digest)):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        what = re.fullmatch(r"/v2/(?:large/image/(manifests|blobs)/([^/]+))?", self.path)
        if what is None:
            self.send_error(404)
        elif what[1] is None or what[2] == CONFIG_DIGEST:
            self.small("application/octet-stream", CONFIG, CONFIG_DIGEST)
        elif what[1] == "manifests":
            self.small("application/vnd.oci.image.manifest.v1+json", MANIFEST, "sha256:" + hashlib.sha256(MANIFEST).hexdigest())
        elif what[2] in LAYERS:
            self.head("application/octet-stream", BLOCK * BLOCKS, what[2])
            for piece in blocks(LAYERS[what[2]]) if self.command == "GET" else ():
                self.wfile.write(piece)
        else:
            self.send_error(404)

    def small(self, kind, content, digest):
        self.head(kind, len(content), digest)
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


with ThreadingHTTPServer(("127.0.0.1", port), Registry) as server:
    print(f"127.0.0.1:{port}/large/image:1", flush=True)
    server.serve_forever()

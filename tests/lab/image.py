#!/usr/bin/env python3
"""Write a docker-archive image from files.

usage: image.py [--arch ARCH] OUT.tar NAME CMD_JSON FILE... [-- FILE...]...

FILE is SOURCE:DESTINATION, or ->TARGET:DESTINATION for a symbolic link. Each `--` begins another layer. The same files give the same bytes.
"""
import hashlib, io, json, sys, tarfile


def layer(files):
    """An uncompressed tar of the files, with nothing in it that depends on time or user."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for entry in files:
            source, destination = entry.rsplit(":", 1)
            info = tarfile.TarInfo(destination)
            if source.startswith("->"):
                info.type, info.linkname = tarfile.SYMTYPE, source[2:]
                tar.addfile(info)
                continue
            with open(source, "rb") as content:
                data = content.read()
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def main(args):
    arch = "amd64"
    if args[0] == "--arch":
        arch, args = args[1], args[2:]
    out, name, command = args[0], args[1], json.loads(args[2])
    groups = [[]]
    for entry in args[3:]:
        if entry == "--":
            groups.append([])
        else:
            groups[-1].append(entry)
    layers = [layer(group) for group in groups]
    ids = [hashlib.sha256(data).hexdigest() for data in layers]
    config = json.dumps({"architecture": arch, "os": "linux", "config": {"Cmd": command, "Env": ["PATH=/bin:/usr/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + i for i in ids]}}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [i + "/layer.tar" for i in ids]}]).encode()
    with tarfile.open(out, "w") as tar:
        entries = [(i + "/layer.tar", data) for i, data in zip(ids, layers)] + [(config_name, config), ("manifest.json", manifest)]
        for entry, data in entries:
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main(sys.argv[1:])

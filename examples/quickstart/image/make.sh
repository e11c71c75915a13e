#!/usr/bin/env bash
# Makes hello.tar anew: a docker archive with one static program. Needs gcc on x86-64 Linux and python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d); trap 'rm -r "$work"' EXIT
gcc -Os -s -static -nostdlib -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
  -Wl,--build-id=none -Wl,-z,noseparate-code -o "$work/hello" "$here/hello.c"
"$here/../../../tests/lab/image.py" "$here/hello.tar" quickstart.example/hello:1.0 '["/hello"]' "$work/hello:hello"

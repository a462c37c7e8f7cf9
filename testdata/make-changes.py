#!/usr/bin/env python3
"""Asks Docker 26.1 what `docker import --change` makes of every case in testdata/change/cases.jsonl.

    DOCKER_HOST=... testdata/make-changes.py

Each line of the file is a JSON object: `changes` holds the values of --change, and this script writes
behind it either `config`, the image's config as `docker image inspect` shows it, or `error`, what
Docker refused the changes with. To add a case, add a line with `changes` alone and run the script.
"""

import json
import os
import pathlib
import subprocess
import sys

CASES = pathlib.Path(__file__).parent / "change" / "cases.jsonl"
# An empty tar: the config is what is asked about.
TAR = bytes(1024)
PREFIX = "Error response from daemon: "


def ask(changes):
    command = ["docker", "import"]
    for change in changes:
        command += ["--change", change]
    answer = subprocess.run(command + ["-"], input=TAR, capture_output=True)
    if answer.returncode != 0:
        words = answer.stderr.decode().removesuffix("\n")
        assert words.startswith(PREFIX), words
        return {"changes": changes, "error": words.removeprefix(PREFIX)}
    image = answer.stdout.decode().strip()
    # Without a template: with one, clients from 28 on leave out what is empty.
    shown = subprocess.run(
        ["docker", "image", "inspect", image], check=True, capture_output=True
    )
    subprocess.run(["docker", "rmi", image], check=True, capture_output=True)
    return {"changes": changes, "config": json.loads(shown.stdout)[0]["Config"]}


def main():
    version = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], check=True, capture_output=True
    )
    if not version.stdout.startswith(b"26.1"):
        sys.exit(f"this is Docker {version.stdout.decode().strip()}, 26.1 is wanted")
    cases = [json.loads(line) for line in CASES.read_text().split("\n") if line]
    lines = [json.dumps(ask(case["changes"])) + "\n" for case in cases]
    new = CASES.with_suffix(".new")
    new.write_text("".join(lines))
    os.replace(new, CASES)
    print(f"{len(lines)} cases")


main()

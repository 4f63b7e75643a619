"""Reads an index of packages with PyPI's `tuf`: root by root, then a package and its signature, each held against what is signed. The signature, an
envelope of DSSE, is verified by `securesystemslib` with so many of the publisher's keys.

    python tuf_client.py INDEX TARGET THRESHOLD KEY...
"""

import hashlib
import json
import os
import pathlib
import sys
import tempfile

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Key
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Files(FetcherInterface):
    """Files of this machine."""

    def _fetch(self, url):
        name = url.removeprefix("file://")
        if not os.path.exists(name):
            raise DownloadHTTPError(url, 404)
        with open(name, "rb") as file:
            yield file.read()


def key(public):
    """A key under the name that TUF has for it: the digest of its canonical form."""
    said = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.removeprefix("ed25519:")}}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return Key.from_dict(hashlib.sha256(canonical.encode()).hexdigest(), said)


index, target, threshold, *publics = sys.argv[1:]
with tempfile.TemporaryDirectory() as home:
    kept = os.path.join(home, "targets")
    os.mkdir(kept)
    root = pathlib.Path(index, "metadata", "1.root.json").read_bytes()
    places = [f"file://{index}/{part}/" for part in ("metadata", "targets")]
    updater = Updater(os.path.join(home, "metadata"), places[0], kept, places[1], fetcher=Files(), bootstrap=root)
    updater.refresh()
    for path in (target, f"{target}.sig"):
        found = updater.get_targetinfo(path)
        lies = updater.download_target(found)
        print(path, found.length)
    envelope = Envelope.from_dict(json.loads(pathlib.Path(lies).read_text()))
    signed = envelope.verify([key(public) for public in publics], int(threshold))
    print("signed", json.loads(envelope.payload)["subject"][0]["name"], f"by {len(signed)} of {len(publics)}")

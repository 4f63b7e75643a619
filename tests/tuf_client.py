"""Reads an index of packages with PyPI's `tuf`: root by root, then a package and its signature, each held against what is signed.

    python tuf_client.py INDEX TARGET
"""

import os
import pathlib
import sys
import tempfile

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


index, target = sys.argv[1:]
with tempfile.TemporaryDirectory() as home:
    kept = os.path.join(home, "targets")
    os.mkdir(kept)
    root = pathlib.Path(index, "metadata", "1.root.json").read_bytes()
    places = [f"file://{index}/{part}/" for part in ("metadata", "targets")]
    updater = Updater(os.path.join(home, "metadata"), places[0], kept, places[1], fetcher=Files(), bootstrap=root)
    updater.refresh()
    for path in (target, f"{target}.sig"):
        found = updater.get_targetinfo(path)
        updater.download_target(found)
        print(path, found.length)

"""Verifies a bundle of cosign with PyPI's `sigstore`, offline and against one trusted root: who signed the file, as whom, by whose word.

    python sigstore_client.py TRUSTED_ROOT FILE BUNDLE IDENTITY ISSUER
"""

import hashlib
import json
import pathlib
import sys

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

root, file, bundle, identity, issuer = sys.argv[1:]
verifier = Verifier(trusted_root=TrustedRoot.from_file(root))
content = pathlib.Path(file).read_bytes()
bundle = Bundle.from_json(pathlib.Path(bundle).read_bytes())
policy = Identity(identity=identity, issuer=issuer)
if "dsseEnvelope" in json.loads(bundle.to_json()):
    kind, payload = verifier.verify_dsse(bundle, policy)
    assert kind == "application/vnd.in-toto+json", kind
    digests = [subject["digest"]["sha256"] for subject in json.loads(payload)["subject"]]
    assert hashlib.sha256(content).hexdigest() in digests, "it is about another file"
else:
    verifier.verify_artifact(content, bundle, policy)
print("signed by", identity)

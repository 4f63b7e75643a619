//! What a publisher signs of a package: a statement of in-toto (the digest of the file, its name, version, sequence number and the hash
//! of what it asks for) in an envelope of DSSE. A statement that verifies says who vouches for the file; whether they are trusted is the
//! keyring's to say.

use agentry_engine::package::{Package, canonical_json};
use agentry_journal::export::sign::SigningKey;
use agentry_kernel::digest::Digest;
use agentry_kernel::manifest::Manifest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::key::PublicKey;
use crate::limits::{SIGNATURE_MAX_BYTES, SIGNATURES_MAX};
use crate::name;

/// Of the payload, by DSSE.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:agentry:package:1";

/// What its publisher says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// `publisher:name`
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// As of the manifest.
    pub seq: u64,
    /// See [`capabilities`].
    pub capabilities: Digest,
    /// Whose word it is.
    pub key: PublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: Sha,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sha {
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    version: String,
    seq: u64,
    capabilities: Sha,
    publisher: PublicKey,
}

/// The hash of all that a package asks for: interfaces with their limits, and the budget that it suggests. Reasons are words and no part
/// of it.
pub fn capabilities(manifest: &Manifest) -> Digest {
    let mut asked = json!({"budget": manifest.budget, "wants": manifest.wants});
    strip_reasons(&mut asked);
    Digest(Sha256::digest(canonical_json(&asked)).into())
}

fn strip_reasons(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("why");
            fields.values_mut().for_each(strip_reasons);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_reasons),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Statement {
    /// What the holder of this key says of a package.
    pub fn of(package: &Package, key: PublicKey) -> Self {
        let manifest = &package.manifest;
        Self {
            digest: package.digest,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            seq: manifest.seq,
            capabilities: capabilities(manifest),
            key,
        }
    }

    /// The envelope with this statement, signed.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.name, "digest": {"sha256": self.digest.to_string()}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "version": self.version,
                "seq": self.seq,
                "capabilities": {"sha256": self.capabilities.to_string()},
                "publisher": self.key.to_string(),
            },
        });
        let body = canonical_json(&statement);
        let signature = key.sign_message(&to_be_signed(body.as_bytes()));
        let envelope = json!({
            "payload": STANDARD.encode(&body),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": PublicKey::of(key).id(), "sig": STANDARD.encode(signature)}],
        });
        format!("{}\n", canonical_json(&envelope)).into_bytes()
    }

    /// The statement in an envelope, if the key that it names signed it.
    ///
    /// # Errors
    /// If it is none, or the signature is not of that key.
    pub fn open(envelope: &[u8]) -> Result<Self, Fault> {
        if envelope.len() > SIGNATURE_MAX_BYTES {
            return Err(damaged(&format!("it has more than {SIGNATURE_MAX_BYTES} bytes")));
        }
        let envelope: Envelope = serde_json::from_slice(envelope).map_err(|_| damaged("it is no envelope of DSSE"))?;
        if envelope.payload_type != PAYLOAD_TYPE || envelope.signatures.len() > SIGNATURES_MAX {
            return Err(damaged("it is an envelope of something else"));
        }
        let body = STANDARD.decode(&envelope.payload).map_err(|_| damaged("its payload is not base64"))?;
        let said: InToto = serde_json::from_slice(&body).map_err(|_| damaged("it says nothing of a package"))?;
        let [subject] = said.subject.as_slice() else { return Err(damaged("it is about several files")) };
        if said.kind != STATEMENT_TYPE || said.predicate_type != PREDICATE_TYPE {
            return Err(damaged("it is a statement of another kind"));
        }
        // Whoever signs by a key of their own may sign any words, and errors show these.
        if !name::is_package(&subject.name, &said.predicate.version) {
            return Err(damaged("it names no package"));
        }
        let digest = |digits: &str| name::bytes(digits).map(Digest).ok_or_else(|| damaged("it has no whole digest"));
        let statement = Self {
            digest: digest(&subject.digest.sha256)?,
            name: subject.name.clone(),
            version: said.predicate.version,
            seq: said.predicate.seq,
            capabilities: digest(&said.predicate.capabilities.sha256)?,
            key: said.predicate.publisher,
        };
        let message = to_be_signed(&body);
        let signed = envelope.signatures.iter().filter_map(|signature| STANDARD.decode(&signature.sig).ok());
        if !signed.into_iter().any(|signature| statement.key.has_signed(&message, &signature)) {
            return Err(Fault::denied(
                "the signature is wrong: the key that it names did not sign it",
                "get file and signature again from where the publisher offers them",
            ));
        }
        Ok(statement)
    }

    /// Whether it is about this package, all of it.
    ///
    /// # Errors
    /// What it says otherwise.
    pub fn vouches_for(&self, package: &Package) -> Result<(), Fault> {
        let said = Self::of(package, self.key);
        let differs = [
            ("another file", self.digest != said.digest),
            ("a package of another name", self.name != said.name),
            ("another version", self.version != said.version),
            ("another sequence number", self.seq != said.seq),
            ("other wishes", self.capabilities != said.capabilities),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => Err(Fault::denied(
                format!("the signature is for {what}"),
                "get file and signature again, both of one version, from where the publisher offers them",
            )),
        }
    }
}

/// The pre-authentication encoding of DSSE.
fn to_be_signed(body: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), body.len());
    [head.as_bytes(), body].concat()
}

fn damaged(why: &str) -> Fault {
    Fault::denied(format!("the signature cannot be read: {why}"), "get it again from where the publisher offers it")
}

#[cfg(test)]
mod tests {
    use agentry_engine::package::Parts;

    use super::*;
    use crate::key;

    fn manifest(more: &str) -> Manifest {
        let text = format!(r#"{{"format":1,"name":"acme:clock","version":"1.0.0","wit":"0.1.0"{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn package() -> Package {
        let (imports, unused, parts) = (vec![], vec![], Parts::default());
        Package { digest: Digest([7; 32]), manifest: manifest(""), imports, unused, parts, bytes: 9 }
    }

    #[test]
    fn a_statement_comes_back_and_every_changed_byte_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let key = key::create(home.path(), "acme").unwrap();
        let statement = Statement::of(&package(), PublicKey::of(&key));
        let envelope = statement.sign(&key);
        assert_eq!(Statement::open(&envelope).unwrap(), statement);
        for at in 0..envelope.len() - 1 {
            let mut other = envelope.clone();
            other[at] ^= 1;
            // The name of a key is a help to whoever looks for it, and no more.
            let opened = Statement::open(&other);
            assert!(opened.is_err() || opened.unwrap() == statement, "byte {at}");
        }
        assert!(Statement::open(&[b' '; SIGNATURE_MAX_BYTES + 1]).is_err());
        assert!(Statement::open(&[b'['; 10_000]).is_err());
        statement.vouches_for(&package()).unwrap();
        let other = Package { digest: Digest([8; 32]), ..package() };
        assert!(statement.vouches_for(&other).unwrap_err().message.contains("another file"));
        let other = Package { manifest: Manifest { name: "acme:other".into(), ..manifest("") }, ..package() };
        assert!(statement.vouches_for(&other).unwrap_err().message.contains("another name"));
    }

    #[test]
    fn a_statement_that_names_another_key_than_signed_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (mine, theirs) = (key::create(home.path(), "a").unwrap(), key::create(home.path(), "b").unwrap());
        let statement = Statement::of(&package(), PublicKey::of(&theirs));
        assert!(Statement::open(&statement.sign(&mine)).unwrap_err().message.contains("did not sign it"));
    }

    #[test]
    fn a_name_that_would_write_a_line_of_ours_is_no_statement() {
        let home = tempfile::tempdir().unwrap();
        let key = key::create(home.path(), "a").unwrap();
        let statement = Statement::of(&package(), PublicKey::of(&key));
        for (name, version) in [("acme\nhint: do it:x", "1.0.0"), ("acme:x", "1.0.0\u{1b}[2J"), ("", "1.0.0")] {
            let other = Statement { name: name.into(), version: version.into(), ..statement.clone() };
            assert!(Statement::open(&other.sign(&key)).unwrap_err().message.ends_with("it names no package"));
        }
    }

    #[test]
    fn reasons_are_no_capability_and_all_else_is() {
        let asks = |why: &str, most: u32| {
            let llm = format!(r#","wants":{{"llm":{{"models":["*"],"max_tokens":{most},"why":"{why}"}}}}"#);
            capabilities(&manifest(&llm))
        };
        assert_eq!(asks("a", 1), asks("b", 1));
        assert_ne!(asks("a", 1), asks("a", 2));
        assert_ne!(asks("a", 1), capabilities(&manifest("")));
    }
}

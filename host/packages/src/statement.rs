//! What a publisher signs of a package: a statement of in-toto (the digest of the file, its name, version, sequence number and the hash
//! of what it asks for) in an envelope of DSSE. A statement that verifies says who vouches for the file; whether they are trusted is the
//! keyring's to say.

use std::collections::BTreeSet;

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
use crate::holders::{Holders, Vouched};
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
    /// The SHA-256 of its bill of materials, if its publisher names one.
    pub sbom: Option<Digest>,
    /// Whose word it is, and who has signed it.
    pub vouched: Vouched,
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
    publisher: Holders,
    sbom: Option<Sha>,
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
    /// What these say of a package, once enough of them have signed it.
    pub fn of(package: &Package, holders: Holders) -> Self {
        let manifest = &package.manifest;
        Self {
            digest: package.digest,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            seq: manifest.seq,
            capabilities: capabilities(manifest),
            sbom: None,
            vouched: Vouched { holders, by: BTreeSet::new() },
        }
    }

    /// The same, with the digest of what it is made of.
    #[must_use]
    pub fn with_sbom(self, sbom: Option<Digest>) -> Self {
        Self { sbom, ..self }
    }

    /// The envelope with this statement, signed by one.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.name, "digest": {"sha256": self.digest.to_string()}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "version": self.version,
                "seq": self.seq,
                "capabilities": {"sha256": self.capabilities.to_string()},
                "publisher": self.vouched.holders,
            },
        });
        // Whoever names none signs the words that versions before this one signed.
        if let Some(sbom) = self.sbom {
            statement["predicate"]["sbom"] = json!({"sha256": sbom.to_string()});
        }
        let body = canonical_json(&statement);
        let signature = Signature::of(body.as_bytes(), key);
        Envelope { payload: STANDARD.encode(&body), payload_type: PAYLOAD_TYPE.to_owned(), signatures: vec![signature] }
            .written()
    }

    /// An envelope with this statement, signed by one key more; signed by it before, it is as it was.
    ///
    /// # Errors
    /// If the envelope cannot be read.
    pub fn add_to(&self, envelope: &[u8], key: &SigningKey) -> Result<Vec<u8>, Fault> {
        let (mut envelope, body) = Envelope::read(envelope)?;
        let own = Signature::of(&body, key);
        // Whatever else stands under this name was not made by this key.
        envelope.signatures.retain(|signature| signature.keyid != own.keyid);
        envelope.signatures.push(own);
        envelope.signatures.sort_by(|a, b| a.keyid.cmp(&b.keyid));
        Ok(envelope.written())
    }

    /// The statement in an envelope, if enough of the keys that it names signed it.
    ///
    /// # Errors
    /// If it is none, or they did not.
    pub fn open(envelope: &[u8]) -> Result<Self, Fault> {
        let statement = Self::read(envelope)?;
        let Vouched { holders, by } = &statement.vouched;
        match by.len() {
            _ if statement.vouched.suffices() => Ok(statement),
            0 => Err(Fault::denied(
                "the signature is wrong: the key that it names did not sign it",
                "get file and signature again from where the publisher offers them",
            )),
            count => Err(Fault::denied(
                format!("it is signed by {count} of the {} keys that must sign it", holders.threshold()),
                "whoever holds another one of them signs it as well: agentry publish FILE, with the .sig beside it",
            )),
        }
    }

    /// The statement in an envelope, with whoever of those that it names has signed it: perhaps nobody yet.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(envelope: &[u8]) -> Result<Self, Fault> {
        let (envelope, body) = Envelope::read(envelope)?;
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
        Ok(Self {
            digest: digest(&subject.digest.sha256)?,
            name: subject.name.clone(),
            version: said.predicate.version,
            seq: said.predicate.seq,
            capabilities: digest(&said.predicate.capabilities.sha256)?,
            sbom: said.predicate.sbom.map(|sbom| digest(&sbom.sha256)).transpose()?,
            vouched: Vouched {
                by: signers(&said.predicate.publisher, &envelope, &body),
                holders: said.predicate.publisher,
            },
        })
    }

    /// Whether it is of the file with this digest: of another one it says nothing, whoever signed it.
    ///
    /// # Errors
    /// If it is not.
    pub fn is_of(&self, file: Digest) -> Result<(), Fault> {
        if self.digest == file { Ok(()) } else { Err(is_for("another file")) }
    }

    /// Whether it is about this package, all of it. Which bill of materials belongs to that, it alone says.
    ///
    /// # Errors
    /// What it says otherwise.
    pub fn vouches_for(&self, package: &Package) -> Result<(), Fault> {
        self.is_of(package.digest)?;
        let said = Self::of(package, self.vouched.holders.clone());
        let differs = [
            ("a package of another name", self.name != said.name),
            ("another version", self.version != said.version),
            ("another sequence number", self.seq != said.seq),
            ("other wishes", self.capabilities != said.capabilities),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => Err(is_for(what)),
        }
    }
}

fn is_for(what: &str) -> Fault {
    let hint = "get file and signature again, both of one version, from where the publisher offers them";
    Fault::denied(format!("the signature is for {what}"), hint)
}

impl Envelope {
    /// An envelope and what lies in it.
    fn read(bytes: &[u8]) -> Result<(Self, Vec<u8>), Fault> {
        if bytes.len() > SIGNATURE_MAX_BYTES {
            return Err(damaged(&format!("it has more than {SIGNATURE_MAX_BYTES} bytes")));
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|_| damaged("it is no envelope of DSSE"))?;
        if envelope.payload_type != PAYLOAD_TYPE || envelope.signatures.len() > SIGNATURES_MAX {
            return Err(damaged("it is an envelope of something else"));
        }
        let body = STANDARD.decode(&envelope.payload).map_err(|_| damaged("its payload is not base64"))?;
        Ok((envelope, body))
    }

    fn written(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("an envelope has nothing that JSON lacks");
        format!("{}\n", canonical_json(&value)).into_bytes()
    }
}

impl Signature {
    fn of(body: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign_message(&to_be_signed(body));
        Self { keyid: PublicKey::of(key).id(), sig: STANDARD.encode(signature) }
    }
}

/// Who of these has signed what lies in an envelope: each key counts once, under whatever names and however often it signed.
fn signers(holders: &Holders, envelope: &Envelope, body: &[u8]) -> BTreeSet<PublicKey> {
    let message = to_be_signed(body);
    let signatures: Vec<Vec<u8>> =
        envelope.signatures.iter().filter_map(|signature| STANDARD.decode(&signature.sig).ok()).collect();
    holders.keys().filter(|key| signatures.iter().any(|signature| key.has_signed(&message, signature))).collect()
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
        let statement = Statement::of(&package(), PublicKey::of(&key).into());
        let envelope = statement.sign(&key);
        let statement = Statement { vouched: PublicKey::of(&key).into(), ..statement };
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
    fn a_bill_of_materials_is_part_of_what_is_signed_and_whoever_names_none_says_what_was_said_before() {
        let home = tempfile::tempdir().unwrap();
        let key = key::create(home.path(), "acme").unwrap();
        let without = Statement::of(&package(), PublicKey::of(&key).into());
        let said = |envelope: &[u8]| String::from_utf8(Envelope::read(envelope).unwrap().1).unwrap();
        assert!(!said(&without.sign(&key)).contains("sbom"));
        let with = without.clone().with_sbom(Some(Digest([5; 32])));
        let envelope = with.sign(&key);
        let opened = Statement::open(&envelope).unwrap();
        assert_eq!(opened.sbom, Some(Digest([5; 32])));
        opened.vouches_for(&package()).unwrap();
        // Another one under the same signature is another statement; and what is no digest is none.
        let (signed, body) = Envelope::read(&envelope).unwrap();
        let other = |from: &str, to: &str| {
            let body = String::from_utf8(body.clone()).unwrap().replace(from, to);
            Envelope { payload: STANDARD.encode(body), payload_type: PAYLOAD_TYPE.into(), signatures: vec![] }
        };
        let digits = "05".repeat(32);
        let swapped = Envelope { signatures: signed.signatures, ..other(&digits, &"06".repeat(32)) };
        assert!(Statement::open(&swapped.written()).is_err());
        assert!(Statement::read(&other(&digits, "05").written()).unwrap_err().message.contains("no whole digest"));
    }

    #[test]
    fn a_statement_that_names_another_key_than_signed_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (mine, theirs) = (key::create(home.path(), "a").unwrap(), key::create(home.path(), "b").unwrap());
        let statement = Statement::of(&package(), PublicKey::of(&theirs).into());
        assert!(Statement::open(&statement.sign(&mine)).unwrap_err().message.contains("did not sign it"));
    }

    #[test]
    fn a_statement_of_several_keys_holds_when_enough_different_ones_have_signed_it() {
        let home = tempfile::tempdir().unwrap();
        let [a, b, c, other] = ["a", "b", "c", "other"].map(|name| key::create(home.path(), name).unwrap());
        let of = PublicKey::of;
        let holders = Holders::new([of(&a), of(&b), of(&c)], 2).unwrap();
        let statement = Statement::of(&package(), holders.clone());
        let first = statement.sign(&a);
        let told = Statement::open(&first).unwrap_err();
        assert!(told.message.contains("signed by 1 of the 2 keys that must"), "{told}");
        // The same key twice is one key, and a key of nobody's is none.
        let again = statement.add_to(&first, &a).unwrap();
        assert_eq!(again, first);
        let (mut twice, body) = Envelope::read(&first).unwrap();
        twice.signatures.push(Signature { keyid: "other".into(), ..Signature::of(&body, &a) });
        assert!(Statement::open(&twice.written()).is_err());
        assert!(Statement::open(&statement.add_to(&first, &other).unwrap()).is_err());
        let both = statement.add_to(&first, &c).unwrap();
        let said = Statement::open(&both).unwrap();
        assert_eq!(said.vouched, Vouched { holders, by: [of(&a), of(&c)].into() });
        // Whoever signs says of how many: nobody needs fewer afterwards.
        let fewer = Statement::of(&package(), Holders::new([of(&a), of(&b), of(&c)], 1).unwrap());
        assert_ne!(Statement::open(&fewer.sign(&a)).unwrap().vouched.holders.name(), said.vouched.holders.name());
        for at in 0..both.len() - 1 {
            let mut other = both.clone();
            other[at] ^= 1;
            assert!(Statement::open(&other).is_err() || Statement::open(&other).unwrap() == said, "byte {at}");
        }
    }

    #[test]
    fn a_name_that_would_write_a_line_of_ours_is_no_statement() {
        let home = tempfile::tempdir().unwrap();
        let key = key::create(home.path(), "a").unwrap();
        let statement = Statement::of(&package(), PublicKey::of(&key).into());
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
        let secret = |handle: &str| {
            let secret = format!(r#"{{"handle":"{handle}","only_to":"https://a.example.org","why":"w"}}"#);
            capabilities(&manifest(&format!(r#","wants":{{"http":{{"why":"w"}},"secrets":[{secret}]}}"#)))
        };
        assert_ne!(secret("a"), secret("b"));
        // Whoever says nothing of what is new writes, and agrees to, what they did before.
        let plain = r#"{"format":1,"name":"acme:clock","version":"1.0.0","seq":1,"wit":"0.1.0","wants":{}}"#;
        assert_eq!(serde_json::to_string(&manifest("")).unwrap(), plain);
    }
}

//! A Sigstore of a test's own: an authority that certifies identities for minutes, a log of its certificates, and a log of what was signed; and what
//! cosign makes with them, byte by byte as RFC 5280 and RFC 6962 have it, so that other readers of bundles read it too.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The workflow whose tags sign, before the name of the tag.
pub const FLOW: &str = "https://github.com/acme/keeper/.github/workflows/release.yml@refs/tags/";

/// Who says that it is that workflow.
pub const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// A day on which all was well: 2026-01-01.
pub const DAY: u64 = 1_767_225_600;

/// How long a certificate is good, in seconds.
const GOOD_FOR: u64 = 600;

/// All of it.
pub struct Sigstore {
    authority: Key,
    certificates: Key,
    log: Key,
    certificate: Vec<u8>,
}

/// Who signs what, and when.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// Whom the certificate names: an address, or one of mail.
    pub identity: &'a str,
    /// Who says so.
    pub issuer: &'a str,
    /// From when the certificate is good.
    pub certified: u64,
    /// When the log has seen it.
    pub logged: u64,
    /// What a statement about the file states; without it, the file itself is signed.
    pub states: Option<&'a str>,
}

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
    }

    fn public(&self) -> Vec<u8> {
        self.0.public_key().as_der().expect("it is public").as_ref().to_vec()
    }

    fn id(&self) -> [u8; 32] {
        sha(&self.public())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).expect("it signs").as_ref().to_vec()
    }
}

impl<'a> Signing<'a> {
    /// By that workflow, on that day.
    pub fn by(identity: &'a str) -> Self {
        Self { identity, issuer: ISSUER, certified: DAY, logged: DAY + 60, states: None }
    }
}

impl Sigstore {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Self {
        let [authority, certificates, log] = [(); 3].map(|()| Key::new());
        let extensions = [
            extension("2.5.29.19", true, &sequence(&[der(1, &[0xff])])),
            extension("2.5.29.15", true, &der(3, &[1, 0x06])),
            extension("2.5.29.14", false, &der(4, &authority.id()[..20])),
        ];
        let about = certified(&authority, &name(), (DAY - 1_000_000, DAY + 100_000_000), &extensions);
        let certificate = signed(&about, &authority);
        Self { authority, certificates, log, certificate }
    }

    /// What an admin pins: from when each of its parts is good, and until when if that is said.
    pub fn trusted_root(&self, until: Option<u64>) -> Value {
        let mut good = json!({"start": moment(DAY - 1_000_000)});
        if let Some(until) = until {
            good["end"] = moment(until).into();
        }
        let log = |key: &Key, at: &str| {
            json!({
                "baseUrl": at,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": b64(&key.public()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": good},
                "logId": {"keyId": b64(&key.id())},
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.log, "https://log.example")],
            "certificateAuthorities": [{
                "subject": {"organization": "example", "commonName": "authority"},
                "uri": "https://authority.example",
                "certChain": {"certificates": [{"rawBytes": b64(&self.certificate)}]},
                "validFor": good,
            }],
            "ctlogs": [log(&self.certificates, "https://certificates.example")],
            "timestampAuthorities": [],
        })
    }

    /// A bundle, as `cosign sign-blob --bundle` or `attest-blob` writes it.
    pub fn bundle(&self, file: &[u8], signing: Signing<'_>) -> Value {
        let key = Key::new();
        let certificate = self.leaf(&key, signing);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines(&b64(&certificate)));
        let (content, kind, spec) = match signing.states {
            None => {
                let signature = b64(&key.sign(file));
                let hash = json!({"algorithm": "sha256", "value": hex(&sha(file))});
                let spec = json!({
                    "data": {"hash": hash},
                    "signature": {"content": signature, "publicKey": {"content": b64(pem.as_bytes())}},
                });
                let digest = json!({"algorithm": "SHA2_256", "digest": b64(&sha(file))});
                (json!({"messageSignature": {"messageDigest": digest, "signature": signature}}), "hashedrekord", spec)
            }
            Some(states) => {
                let payload = json!({
                    "_type": "https://in-toto.io/Statement/v1",
                    "subject": [{"name": "keeper.wasm", "digest": {"sha256": hex(&sha(file))}}],
                    "predicateType": states,
                    "predicate": {},
                })
                .to_string();
                const KIND: &str = "application/vnd.in-toto+json";
                let message = format!("DSSEv1 {} {KIND} {} {payload}", KIND.len(), payload.len());
                let signature = b64(&key.sign(message.as_bytes()));
                let envelope = json!({"payload": b64(payload.as_bytes()), "payloadType": KIND, "signatures": [{"sig": signature}]});
                let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(&sha(bytes))});
                let spec = json!({
                    "envelopeHash": hash(envelope.to_string().as_bytes()),
                    "payloadHash": hash(payload.as_bytes()),
                    "signatures": [{"signature": signature, "verifier": b64(pem.as_bytes())}],
                });
                (json!({"dsseEnvelope": envelope}), "dsse", spec)
            }
        };
        let body = json!({"apiVersion": "0.0.1", "kind": kind, "spec": spec}).to_string();
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(&certificate)},
                "tlogEntries": [self.entry(kind, &body, signing.logged)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
        });
        for (field, value) in content.as_object().expect("an object") {
            bundle[field] = value.clone();
        }
        bundle
    }

    /// The certificate of a key, with the word of the log of certificates in it.
    fn leaf(&self, key: &Key, Signing { identity, issuer, certified: from, .. }: Signing<'_>) -> Vec<u8> {
        // A uniformResourceIdentifier, or an rfc822Name.
        let kind = if identity.contains("://") { 0x86 } else { 0x81 };
        let mut extensions = vec![
            extension("2.5.29.15", true, &der(3, &[7, 0x80])),
            extension("2.5.29.37", false, &sequence(&[oid("1.3.6.1.5.5.7.3.3")])),
            extension("2.5.29.14", false, &der(4, &key.id()[..20])),
            extension("2.5.29.35", false, &sequence(&[der(0x80, &self.authority.id()[..20])])),
            extension("2.5.29.17", true, &sequence(&[der(kind, identity.as_bytes())])),
            extension("1.3.6.1.4.1.57264.1.1", false, issuer.as_bytes()),
            extension("1.3.6.1.4.1.57264.1.8", false, &der(12, issuer.as_bytes())),
        ];
        let window = (from, from + GOOD_FOR);
        let before = certified(key, &sequence(&[]), window, &extensions);
        let at = (from * 1_000).to_be_bytes();
        let length = u32::try_from(before.len()).expect("it is short").to_be_bytes();
        let seen = [&[0, 0][..], &at, &[0, 1], &self.authority.id(), &length[1..], &before, &[0, 0]].concat();
        let signature = two(&self.certificates.sign(&seen));
        let word = [&[0][..], &self.certificates.id(), &at, &[0, 0, 4, 3], &signature].concat();
        extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &der(4, &two(&two(&word)))));
        signed(&certified(key, &sequence(&[]), window, &extensions), &self.authority)
    }

    /// The second one of three entries of the log, with the log's promise, its proof and its checkpoint.
    fn entry(&self, kind: &str, body: &str, at: u64) -> Value {
        let index = 1_001;
        let promise = json!({"body": b64(body.as_bytes()), "integratedTime": at, "logID": hex(&self.log.id()), "logIndex": index});
        let leaf = |bytes: &[u8]| sha(&[&[0], bytes].concat());
        let above = |left: [u8; 32], right: [u8; 32]| sha(&[&[1], &left[..], &right].concat());
        let (first, own, third) = (leaf(b"first"), leaf(body.as_bytes()), leaf(b"third"));
        let root = above(above(first, own), third);
        let note = format!("log.example\n3\n{}\n", b64(&root));
        let word = [&self.log.id()[..4], &self.log.sign(note.as_bytes())].concat();
        json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": b64(&self.log.id())},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": at.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": b64(&self.log.sign(promise.to_string().as_bytes()))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": b64(&root),
                "treeSize": "3",
                "hashes": [b64(&first), b64(&third)],
                "checkpoint": {"envelope": format!("{note}\n— log.example {}\n", b64(&word))},
            },
            "canonicalizedBody": b64(body.as_bytes()),
        })
    }
}

/// What a certificate says.
fn certified(key: &Key, subject: &[u8], (from, until): (u64, u64), extensions: &[Vec<u8>]) -> Vec<u8> {
    let day = |at| der(23, compact(at).as_bytes());
    sequence(&[
        der(0xa0, &der(2, &[2])),
        // Whoever sees a certificate knows it by this, so each has its own.
        der(2, &[&[1][..], &key.id()[..15]].concat()),
        algorithm(),
        name(),
        sequence(&[day(from), day(until)]),
        subject.to_vec(),
        key.public(),
        der(0xa3, &sequence(extensions)),
    ])
}

fn signed(about: &[u8], by: &Key) -> Vec<u8> {
    sequence(&[about.to_vec(), algorithm(), der(3, &[&[0][..], &by.sign(about)].concat())])
}

/// ECDSA over SHA-256.
fn algorithm() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.2")])
}

/// Of the authority.
fn name() -> Vec<u8> {
    sequence(&[der(0x31, &sequence(&[oid("2.5.4.3"), der(12, b"authority")]))])
}

fn extension(kind: &str, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der(1, &[0xff]) } else { Vec::new() };
    sequence(&[oid(kind), critical, der(4, value)])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    der(0x30, &parts.concat())
}

/// A tag, a length, and what has it.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let head = match value.len() {
        short @ 0..128 => vec![tag, u8::try_from(short).expect("it is short")],
        _ => [&[tag, 0x80 | u8::try_from(length.len()).expect("it is short")][..], length].concat(),
    };
    [head, value.to_vec()].concat()
}

fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u32> = text.split('.').map(|number| number.parse().expect("a number")).collect();
    let mut bytes = Vec::new();
    for number in std::iter::once(numbers[0] * 40 + numbers[1]).chain(numbers[2..].iter().copied()) {
        let sevens = (0..5).rev().map(|at| (number >> (7 * at)) & 0x7f).skip_while(|seven| *seven == 0);
        let sevens: Vec<u32> = sevens.collect();
        let last = sevens.len().saturating_sub(1);
        let byte =
            |(at, seven): (usize, &u32)| u8::try_from(*seven).expect("seven bits") | if at < last { 0x80 } else { 0 };
        bytes.extend(sevens.iter().enumerate().map(byte));
        if sevens.is_empty() {
            bytes.push(0);
        }
    }
    der(6, &bytes)
}

/// Behind its length in two bytes.
fn two(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("it is short").to_be_bytes()[..], bytes].concat()
}

fn sha(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn lines(text: &str) -> String {
    let all: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    all.join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `260101000000Z`
fn compact(at: u64) -> String {
    moment(at)[2..].replace(['-', ':', 'T'], "")
}

/// `2026-01-01T00:00:00Z`: days from civil, by Howard Hinnant, backwards.
fn moment(at: u64) -> String {
    let (days, second) = (at / 86_400 + 719_468, at % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

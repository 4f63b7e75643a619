//! What a bundle proves, and that nothing of it or of the root can be otherwise. Bundles and root were made once by the Sigstore of `tests/sigstore.rs`, and
//! PyPI's `sigstore` reads them.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::fault::Kind;
use crate::limits::{BUNDLE_MAX_BYTES, EVIDENCE_MAX, TRUSTED_ROOT_MAX_BYTES};

const FILE: &[u8] = b"a package, as far as a signature goes\n";
const BUNDLE: &str = include_str!("../../../../tests/golden/cosign-1.sigstore.json");
const ATTESTED: &str = include_str!("../../../../tests/golden/cosign-1.attested.json");
const ROOT: &str = include_str!("../../../../tests/golden/cosign-1.root.json");

const BY: &str = "https://github.com/acme/keeper/.github/workflows/release.yml@refs/tags/v1.0.0";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn pinned(root: &str) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("root.json");
    std::fs::write(&path, root).unwrap();
    (home, path)
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A bundle with something in it changed.
fn changed(bundle: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = value(bundle);
    change(&mut value);
    value.to_string()
}

fn expected() -> Proof {
    Proof { identity: BY.to_owned(), issuer: ISSUER.to_owned(), at: Millis(1_767_225_660_000) }
}

#[test]
fn a_bundle_proves_who_signed_and_when() {
    let (_home, root) = pinned(ROOT);
    for bundle in [BUNDLE, ATTESTED] {
        assert_eq!(Proof::open(&root, bundle.as_bytes(), FILE), Ok(expected()));
    }
    let pinned = Identity::new(&BY.replace("v1.0.0", "v1*"), ISSUER).unwrap();
    let certified = expected().of("acme", &pinned).unwrap();
    assert_eq!((certified.by.as_str(), certified.at), (BY, Millis(1_767_225_660_000)));
    for (identity, issuer) in [(BY.replace("v1.0.0", "v2*"), ISSUER), (BY.to_owned(), "https://accounts.example")] {
        let told = expected().of("acme", &Identity::new(&identity, issuer).unwrap()).unwrap_err();
        assert!(told.kind == Kind::Denied && told.message.contains("`acme` did not sign it"), "{told}");
    }
}

#[test]
fn no_byte_of_a_bundle_or_of_its_file_can_be_another_one() {
    let (_home, root) = pinned(ROOT);
    for at in 0..FILE.len() {
        let mut other = FILE.to_vec();
        other[at] ^= 1;
        for bundle in [BUNDLE, ATTESTED] {
            assert_eq!(Proof::open(&root, bundle.as_bytes(), &other).unwrap_err().kind, Kind::Denied, "{at}");
        }
    }
    for bundle in [BUNDLE, ATTESTED] {
        let mut held = 0;
        for at in 0..bundle.len() {
            let mut other = bundle.as_bytes().to_vec();
            other[at] ^= 1;
            match Proof::open(&root, &other, FILE) {
                // A name under which nothing is that is needed: an empty list, a digest that is held against the file as well.
                Ok(proof) => {
                    held += 1;
                    assert_eq!(proof, expected(), "{at}");
                }
                Err(fault) => assert_eq!(fault.kind, Kind::Denied, "{at}: {fault}"),
            }
        }
        assert!(held < 250, "{held}");
        for end in (0..bundle.len() - 2).step_by(7) {
            assert!(Proof::open(&root, &bundle.as_bytes()[..end], FILE).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn what_lacks_a_part_or_has_one_of_another_bundle_proves_nothing() {
    let (_home, root) = pinned(ROOT);
    let entry = |bundle: &mut Value| bundle["verificationMaterial"]["tlogEntries"][0].take();
    let without = |field: &'static str| {
        changed(BUNDLE, |bundle| {
            bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap().remove(field);
        })
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (bundle, part) in [
        (changed(BUNDLE, |bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([])), "does not prove"),
        (without("inclusionPromise"), "timestamp"),
        (without("integratedTime"), "timestamp"),
        (without("inclusionProof"), "proof"),
        (without("canonicalizedBody"), "cannot be read"),
        (without("logId"), "cannot be read"),
        (changed(BUNDLE, |bundle| bundle["verificationMaterial"]["tlogEntries"][0] = entry(&mut value(ATTESTED))), ""),
        (
            changed(BUNDLE, |bundle| bundle["messageSignature"] = value(ATTESTED)["dsseEnvelope"].clone()),
            "cannot be read",
        ),
        (changed(BUNDLE, |bundle| bundle["dsseEnvelope"] = value(ATTESTED)["dsseEnvelope"].clone()), ""),
        (
            changed(BUNDLE, |bundle| {
                let one = bundle["verificationMaterial"]["tlogEntries"][0].clone();
                bundle["verificationMaterial"]["tlogEntries"] = vec![one; EVIDENCE_MAX + 1].into();
            }),
            "entries of logs",
        ),
        (
            changed(BUNDLE, |bundle| {
                let material = bundle["verificationMaterial"].as_object_mut().unwrap();
                material.remove("certificate");
                material.insert("publicKey".into(), json!({"hint": "mine"}));
            }),
            "a key that somebody keeps",
        ),
        (
            changed(ATTESTED, |bundle| {
                // `{"predicateType":"x"}`
                bundle["dsseEnvelope"]["payload"] = "eyJwcmVkaWNhdGVUeXBlIjoieCJ9".into();
            }),
            "does not stand for it: it states x",
        ),
        (changed(BUNDLE, |bundle| bundle["mediaType"] = "application/json".into()), "cannot be read"),
        (BUNDLE.replacen('{', &format!("{{\"more\":{deep},"), 1), "cannot be read"),
        (format!("{BUNDLE}{}", " ".repeat(BUNDLE_MAX_BYTES)), "bytes"),
        (String::new(), "cannot be read"),
        (deep, "cannot be read"),
    ] {
        let told = Proof::open(&root, bundle.as_bytes(), FILE).unwrap_err();
        let shown: String = bundle.chars().take(80).collect();
        assert!(told.kind == Kind::Denied && told.message.contains(part), "{part}: {told}: {shown}");
    }
}

#[test]
fn a_root_is_whole_and_good_at_the_time_that_the_log_says_or_nothing_is_proven() {
    let ended = json!({"start": "2025-01-01T00:00:00Z", "end": "2025-12-31T23:59:59Z"});
    let later = json!({"start": "2026-01-02T00:00:00Z"});
    let open = |root: &str| {
        let (_home, path) = pinned(root);
        Proof::open(&path, BUNDLE.as_bytes(), FILE)
    };
    assert_eq!(open(ROOT), Ok(expected()));
    for window in [ended, later] {
        for (list, inside) in [("tlogs", "/publicKey"), ("ctlogs", "/publicKey"), ("certificateAuthorities", "")] {
            let root = changed(ROOT, |root| {
                root[list][0].pointer_mut(inside).unwrap()["validFor"] = window.clone();
            });
            assert_eq!(open(&root).unwrap_err().kind, Kind::Denied, "{list} {window}");
        }
    }
    // Keys of others.
    for (list, others) in [("tlogs", "ctlogs"), ("ctlogs", "tlogs")] {
        let root = changed(ROOT, |root| root[list] = value(ROOT)[others].clone());
        assert_eq!(open(&root).unwrap_err().kind, Kind::Denied, "{list}");
    }
    for root in [
        String::new(),
        "{}".to_owned(),
        BUNDLE.to_owned(),
        ROOT[..ROOT.len() / 2].to_owned(),
        format!("{ROOT}{}", " ".repeat(TRUSTED_ROOT_MAX_BYTES)),
        changed(ROOT, |root| root["tlogs"] = json!([])),
        changed(ROOT, |root| root["ctlogs"] = json!([])),
        changed(ROOT, |root| root["certificateAuthorities"] = json!([])),
        changed(ROOT, |root| root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([])),
        changed(ROOT, |root| {
            root["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "AAAA".into()
        }),
        changed(ROOT, |root| root["tlogs"][0]["publicKey"]["rawBytes"] = "AAAA".into()),
        changed(ROOT, |root| root["tlogs"][0]["logId"]["keyId"] = "AAAA".into()),
    ] {
        let told = open(&root).unwrap_err();
        assert!(told.kind != Kind::Denied && !told.hint.is_empty(), "{told}");
    }
    let (home, path) = pinned(ROOT);
    let told = Proof::open(&home.path().join("none.json"), BUNDLE.as_bytes(), FILE).unwrap_err();
    assert!(told.message.ends_with("none.json is not there"), "{told}");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(Proof::open(&path, BUNDLE.as_bytes(), FILE).unwrap_err().message.contains("write"));
}

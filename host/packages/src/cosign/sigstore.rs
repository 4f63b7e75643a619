//! A bundle held against a trusted root by the crate of the Sigstore project: certificate and its entry in a log of certificates, signature, entry of the
//! log with its proof, timestamps. What that crate lets a caller leave out is left out nowhere here, and what a statement may say is ours.

use std::path::Path;

use agentry_config::policies;
use agentry_kernel::text::line;
use agentry_kernel::time::Millis;
use serde::Deserialize;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle, SignatureContent};
use sigstore_verify::{SubjectAltName, VerificationPolicy, VerificationResult, Verifier};

use super::Proof;
use crate::fault::{Fault, unreadable};
use crate::identity::is_address;
use crate::limits::{BUNDLE_MAX_BYTES, EVIDENCE_MAX, TRUSTED_ROOT_MAX_BYTES};

/// Statements by which whoever signed stands for the file: that it came out of this build, and that it was signed as an image is. Others are about it, such
/// as a list of its parts, or that a test failed.
const PREDICATES: [&str; 3] =
    ["https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2", "https://sigstore.dev/cosign/sign/v1"];

/// The part of a statement of in-toto that says what it says; its subjects are read by the crate.
#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

pub(super) fn open(root: &Path, bundle: &[u8], file: &[u8]) -> Result<Proof, Fault> {
    let verifier = verifier(root)?;
    let bundle = read(bundle)?;
    let result = verifier
        .verify(file, &bundle, &VerificationPolicy::any_identity())
        .map_err(|why| refused(&format!("does not prove who signed this file: {}", line(&why.to_string()))))?;
    proof(&result).ok_or_else(|| refused("says nobody, or nothing of when"))
}

/// What is held against: an admin's file.
fn verifier(path: &Path) -> Result<Verifier, Fault> {
    let hint = "`root` of [cosign] in packages.toml names the trusted_root.json of a Sigstore: cosign trusted-root create \
                --with-default-services --out trusted_root.json";
    if !path.exists() {
        return Err(Fault::usage(format!("{} is not there", path.display()), hint));
    }
    let text = policies::text_within(path, TRUSTED_ROOT_MAX_BYTES).map_err(|why| unreadable(&why))?;
    let wrong =
        |why: String| Fault::usage(format!("{} is no trusted root of Sigstore: {}", path.display(), line(&why)), hint);
    let root = TrustedRoot::from_json(&text).map_err(|why| wrong(why.to_string()))?;
    if root.certificate_authorities.is_empty() || root.tlogs.is_empty() || root.ctlogs.is_empty() {
        return Err(wrong("it names no authority, no log, or no log of certificates".to_owned()));
    }
    Verifier::new(&root).map_err(|why| wrong(why.to_string()))
}

fn read(bytes: &[u8]) -> Result<Bundle, Fault> {
    if bytes.len() > BUNDLE_MAX_BYTES {
        return Err(refused(&format!("has more than {BUNDLE_MAX_BYTES} bytes")));
    }
    let bundle: Bundle =
        serde_json::from_slice(bytes).map_err(|why| refused(&format!("cannot be read: {}", line(&why.to_string()))))?;
    let material = &bundle.verification_material;
    if material.tlog_entries.len().max(material.timestamp_verification_data.rfc3161_timestamps.len()) > EVIDENCE_MAX {
        return Err(refused(&format!("has more than {EVIDENCE_MAX} entries of logs, or timestamps")));
    }
    if bundle.signing_certificate().is_none() {
        return Err(refused("is of a key that somebody keeps, and names nobody: such a key is no publisher's here"));
    }
    if let SignatureContent::DsseEnvelope(envelope) = &bundle.content {
        let said: Statement =
            serde_json::from_slice(envelope.payload.as_bytes()).map_err(|_| refused("states nothing of a file"))?;
        if !PREDICATES.contains(&said.predicate_type.as_str()) {
            let told = line(&said.predicate_type);
            return Err(refused(&format!("is about this file, and does not stand for it: it states {told}")));
        }
    }
    Ok(bundle)
}

/// Who, by whose word, and the first time that is proven.
fn proof(result: &VerificationResult) -> Option<Proof> {
    if !(result.certificate_verified() && result.sct_verified() && result.tlog_verified()) {
        return None;
    }
    // An address of mail that is written like that of a workflow is none.
    let (identity, is_uri) = match result.identity()? {
        SubjectAltName::Uri(identity) => (identity, true),
        SubjectAltName::Email(identity) => (identity, false),
        _ => return None,
    };
    let at = result.verified_timestamps().iter().min()?.as_millisecond();
    let (identity, issuer) = (identity.clone(), result.issuer()?.to_owned());
    (is_address(&identity) == is_uri).then_some(Proof { identity, issuer, at: Millis(u64::try_from(at).ok()?) })
}

fn refused(why: &str) -> Fault {
    Fault::denied(
        format!("the bundle {why}"),
        "get file and bundle again, both of one version, from where the publisher offers them",
    )
}

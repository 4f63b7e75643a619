//! Bundles of cosign: what somebody signed under a certificate that was good for minutes, and a log's word for when. All that is needed stands in the
//! bundle and in the trusted root that an admin pins: nobody is asked, and nothing is built in that could grow old unseen.

use std::path::Path;

use agentry_kernel::time::Millis;

use crate::fault::Fault;
use crate::identity::{Certified, Identity};

#[cfg(feature = "cosign")]
mod sigstore;

#[cfg(feature = "cosign")]
use self::sigstore::open;

/// Whether this program can read them.
pub const IS_BUILT_IN: bool = cfg!(feature = "cosign");

/// What a bundle of cosign is called beside the file that it is of.
pub const BUNDLE: &str = "sigstore.json";

/// Who signed a file, proven; whether they may is not decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whom the certificate names.
    identity: String,
    /// Who says that they are it.
    issuer: String,
    /// When, as the log or a timestamp says.
    at: Millis,
}

impl Proof {
    /// Who signed this file by this bundle, under this trusted root of Sigstore.
    ///
    /// # Errors
    /// If the root cannot be used, or the bundle does not prove it: each part is held against the others and against the root, and none may be missing.
    pub fn open(root: &Path, bundle: &[u8], file: &[u8]) -> Result<Self, Fault> {
        open(root, bundle, file)
    }

    /// The same as the word of this publisher, if it is theirs.
    ///
    /// # Errors
    /// If somebody else signed it.
    pub fn of(self, publisher: &str, pinned: &Identity) -> Result<Certified, Fault> {
        let Self { identity, issuer, at } = self;
        if pinned.is(&identity, &issuer) {
            return Ok(Certified { identity: pinned.clone(), by: identity, at });
        }
        let shown = agentry_kernel::text::line;
        let message = format!(
            "`{publisher}` did not sign it: {}, as {} says, did, and `{publisher}` is {pinned}",
            shown(&identity),
            shown(&issuer)
        );
        Err(Fault::denied(
            message,
            "get file and bundle from where the publisher offers them; a new identity is an admin's to pin in packages.toml",
        ))
    }
}

#[cfg(not(feature = "cosign"))]
fn open(_: &Path, _: &[u8], _: &[u8]) -> Result<Proof, Fault> {
    Err(not_built_in())
}

/// The error of a program that was built without them.
pub(crate) fn not_built_in() -> Fault {
    Fault::usage(
        "this agentry is built without keyless signatures, and would not look at them",
        "take [cosign] and [publishers.NAME] out of packages.toml, or build it with `--features cosign`",
    )
}

#[cfg(all(test, feature = "cosign"))]
mod tests;

//! Whom a certificate of Sigstore may name for a signature to count as a publisher's: one identity, or that of one workflow at its tags. It reads no
//! certificate and believes none.

use std::fmt;

use agentry_engine::package::canonical_json;
use agentry_kernel::digest::Digest;
use agentry_kernel::publisher::PublisherKey;
use agentry_kernel::text::line;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::limits::IDENTITY_MAX_BYTES;

/// What stands before the name of a tag in the identity of a workflow.
const TAGS: &str = "@refs/tags/";

/// Who may sign, and who says that they are it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Identity {
    identity: String,
    issuer: String,
}

/// As files have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    identity: String,
    issuer: String,
}

/// That somebody who may sign did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenCertified", into = "WrittenCertified")]
pub struct Certified {
    /// Who may.
    pub identity: Identity,
    /// Who did: the identity that the certificate names, in full.
    pub by: String,
    /// When, as the log or a timestamp says.
    pub at: Millis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCertified {
    identity: String,
    issuer: String,
    by: String,
    at: Millis,
}

impl Identity {
    /// Whoever `issuer` says is `identity`: an address of mail or of a workflow; a `*` at its end stands for what is left of the name of a tag.
    ///
    /// # Errors
    /// If it can be no identity, or the `*` would stand for more than that.
    pub fn new(identity: &str, issuer: &str) -> Result<Self, Fault> {
        let wrong = |message: String| {
            let hint = "identity = \"https://github.com/acme/bookkeeper/.github/workflows/release.yml@refs/tags/*\", issuer = \
                        \"https://token.actions.githubusercontent.com\"; or an address of mail and who vouches for it";
            Fault::usage(message, format!("for example {hint}"))
        };
        for text in [identity, issuer] {
            if text.len() > IDENTITY_MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong(format!("`{}` is too long, or has letters that no identity has", line(text))));
            }
        }
        if !issuer.starts_with("https://") || issuer.contains('*') {
            return Err(wrong(format!("`{}` is nobody who says who somebody is", line(issuer))));
        }
        let is_mail = identity.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !is_address(identity) && !is_mail {
            return Err(wrong(format!("`{}` is no identity", line(identity))));
        }
        if let Some((before, after)) = identity.split_once('*') {
            let at_a_tag = is_address(identity) && before.contains(TAGS);
            if !after.is_empty() || !at_a_tag {
                let told = "a `*` stands at the end, for the name of a tag: behind `@refs/tags/`";
                return Err(wrong(format!("`{}` could be anybody: {told}", line(identity))));
            }
        }
        Ok(Self { identity: identity.to_owned(), issuer: issuer.to_owned() })
    }

    /// Whether it is this one whom a certificate names, and who says so.
    pub fn is(&self, identity: &str, issuer: &str) -> bool {
        let tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let same = match self.identity.strip_suffix('*') {
            None => identity == self.identity,
            Some(before) => identity.strip_prefix(before).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(tag)),
        };
        same && issuer == self.issuer
    }

    /// Whether all that `other` could be, this one could be.
    pub fn covers(&self, other: &Self) -> bool {
        let wide = |identity: &Self| identity.identity.strip_suffix('*').map(str::to_owned);
        match (wide(self), wide(other)) {
            (Some(before), Some(other_before)) => self.issuer == other.issuer && other_before.starts_with(&before),
            _ => self == other || self.is(&other.identity, &other.issuer),
        }
    }

    /// What a grant names it by: the SHA-256 of both texts.
    pub fn name(&self) -> PublisherKey {
        let written = serde_json::to_value(self).expect("texts have nothing that JSON lacks");
        PublisherKey::Identity(Digest(Sha256::digest(canonical_json(&written)).into()))
    }
}

impl Certified {
    /// Whether `identity` covers who may sign, or is whoever did.
    pub fn is_of(&self, identity: &Identity) -> bool {
        identity.covers(&self.identity) || identity.is(&self.by, &self.identity.issuer)
    }
}

/// Whether an identity is an address as workflows have it, and not one of mail.
pub(crate) fn is_address(identity: &str) -> bool {
    identity.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

/// `IDENTITY, as ISSUER says`
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, as {} says", self.identity, self.issuer)
    }
}

impl TryFrom<Written> for Identity {
    type Error = Fault;

    fn try_from(Written { identity, issuer }: Written) -> Result<Self, Fault> {
        Self::new(&identity, &issuer)
    }
}

impl From<Identity> for Written {
    fn from(Identity { identity, issuer }: Identity) -> Self {
        Self { identity, issuer }
    }
}

impl TryFrom<WrittenCertified> for Certified {
    type Error = Fault;

    fn try_from(WrittenCertified { identity, issuer, by, at }: WrittenCertified) -> Result<Self, Fault> {
        let identity = Identity::new(&identity, &issuer)?;
        if !identity.is(&by, &issuer) {
            return Err(Fault::usage("somebody else signed it than may", "install it again"));
        }
        Ok(Self { identity, by, at })
    }
}

impl From<Certified> for WrittenCertified {
    fn from(Certified { identity: Identity { identity, issuer }, by, at }: Certified) -> Self {
        Self { identity, issuer, by, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "https://github.com/acme/x/.github/workflows/release.yml";
    const ISSUER: &str = "https://token.actions.githubusercontent.com";

    #[test]
    fn a_star_stands_for_a_tag_and_for_nothing_else() {
        let of = |identity: &str| Identity::new(identity, ISSUER);
        let any = of(&format!("{FLOW}@refs/tags/v*")).unwrap();
        for (identity, good) in [
            ("@refs/tags/v1.2.0", true),
            ("@refs/tags/v1.2.0-rc.1+5_a", true),
            ("@refs/tags/v", false),
            ("@refs/tags/1.2.0", false),
            ("@refs/tags/v1/x", false),
            ("@refs/tags/v1@refs", false),
            ("@refs/tags/v1 ", false),
            ("@refs/tags/v*", false),
            ("@refs/heads/v1", false),
        ] {
            assert_eq!(any.is(&format!("{FLOW}{identity}"), ISSUER), good, "{identity}");
        }
        assert!(!any.is(&format!("{FLOW}@refs/tags/v1"), "https://a.example"));
        let exact = of("me@a.example").unwrap();
        assert!(exact.is("me@a.example", ISSUER) && !exact.is("me@a.example.com", ISSUER));
        for bad in [
            "*",
            "",
            "acme",
            "@",
            "me@*",
            "*@a.example",
            "https://",
            "https://github.com/acme/*",
            "https://github.com/*@refs/tags/v1",
            "https://a@refs/heads/*",
            "https://a@refs/tags/*x",
            "https://a@refs/tags/**",
            "https://a b@refs/tags/*",
            "https://ä@refs/tags/*",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        for issuer in ["", "http://a.example", "https://a.example/*", "https://a\u{1b}"] {
            assert!(Identity::new("me@a.example", issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn who_is_covered_has_no_other_issuer_and_no_shorter_name() {
        let of = |identity: &str| Identity::new(&format!("{FLOW}@refs/tags/{identity}"), ISSUER).unwrap();
        for (wide, narrow, good) in [
            ("*", "v*", true),
            ("v*", "*", false),
            ("v*", "v1", true),
            ("v1", "v1", true),
            ("v1", "v2", false),
            ("v1", "v1*", false),
        ] {
            assert_eq!(of(wide).covers(&of(narrow)), good, "{wide} {narrow}");
        }
        assert!(of("*").name() != of("v*").name() && of("*").name().to_string().starts_with("cosign:"));
    }

    #[test]
    fn what_a_lock_says_of_who_signed_is_whole_or_refused() {
        let text = |by: &str| {
            format!(r#"{{"identity":"{FLOW}@refs/tags/*","issuer":"{ISSUER}","by":"{FLOW}@refs/{by}","at":5}}"#)
        };
        let read: Certified = serde_json::from_str(&text("tags/v1")).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text("tags/v1"));
        assert!(serde_json::from_str::<Certified>(&text("heads/v1")).is_err());
        assert!(serde_json::from_str::<Certified>(&text("tags/v1").replace("\"at\"", "\"since\"")).is_err());
    }
}

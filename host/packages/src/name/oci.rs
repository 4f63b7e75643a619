//! The name of a package in a registry of containers: `oci://HOST/REPOSITORY`, a tag, a digest. It asks nobody.

use std::fmt;

use agentry_kernel::digest::Digest;
use agentry_kernel::text::{deceives, line};
use reqwest::Url;

use crate::fault::Fault;

/// What stands before it.
pub const SCHEME: &str = "oci://";

/// A repository's name in a registry, by the specification of its protocol.
const REPOSITORY_MAX_BYTES: usize = 255;

/// A tag, by the same.
const TAG_MAX_BYTES: usize = 128;

/// `oci://registry.example.org/acme/bookkeeper:1.2.0@sha256:…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciName {
    /// The registry, with its port if that is not the usual one.
    pub host: String,
    /// Where in it.
    pub repository: String,
    /// What its owner calls it now; `latest` if neither this nor the digest is said.
    pub tag: Option<String>,
    /// The SHA-256 of the image's manifest: then it is this one and no other.
    pub digest: Option<Digest>,
}

impl OciName {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            let hint = "oci://HOST/REPOSITORY:TAG, or oci://HOST/REPOSITORY@sha256:DIGEST";
            Fault::usage(format!("`{}` names no package in a registry: {why}", line(text)), hint)
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with oci://"))?;
        if rest.chars().any(|letter| !letter.is_ascii() || deceives(letter)) {
            return Err(wrong("it has a letter that could be taken for another one"));
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digits = digest.strip_prefix("sha256:").and_then(Digest::of_hex);
                (rest, Some(digits.ok_or_else(|| wrong("behind its `@` is no digest"))?))
            }
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| wrong("it has no repository"))?;
        let (repository, tag) = match path.split_once(':') {
            None => (path, None),
            Some((repository, tag)) => (repository, Some(tag)),
        };
        if !is_host(host) {
            return Err(wrong("it has no host"));
        }
        if repository.len() > REPOSITORY_MAX_BYTES || !repository.split('/').all(is_part) {
            return Err(wrong("its repository has lowercase letters, digits, `.`, `_`, `-` and `/`"));
        }
        if !tag.is_none_or(is_tag) {
            return Err(wrong("its tag has letters, digits, `.`, `_` and `-`"));
        }
        let (host, repository, tag) = (host.to_owned(), repository.to_owned(), tag.map(str::to_owned));
        Ok(Self { host, repository, tag, digest })
    }

    /// What the registry is asked for.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same, as this one for ever.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for OciName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@sha256:{digest}"))
    }
}

/// Whether this is a host, perhaps with a port, and nothing else of an address.
pub fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let url = Url::parse(&format!("https://{host}/")).ok();
    host.bytes().all(plain)
        && url.is_some_and(|url| url.host().is_some() && url.path() == "/" && url.username().is_empty())
}

fn is_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    part.bytes().all(inner) && edge(part.as_bytes().first()) && edge(part.as_bytes().last())
}

fn is_tag(tag: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && tag.len() <= TAG_MAX_BYTES && tag.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_registry_comes_back_as_it_was_written() {
        let digest = "0a".repeat(32);
        for (text, wanted) in [
            ("oci://127.0.0.1:5000/acme/keeper", "latest".to_owned()),
            ("oci://ghcr.io/acme/keeper:1.2.0-rc.1", "1.2.0-rc.1".to_owned()),
            (&format!("oci://a.example/k@sha256:{digest}"), format!("sha256:{digest}")),
            (&format!("oci://[::1]:5000/k:1@sha256:{digest}"), format!("sha256:{digest}")),
        ] {
            let name = OciName::parse(text).unwrap();
            assert_eq!((name.to_string(), name.wanted()), (text.to_owned(), wanted));
        }
        let name = OciName::parse("oci://a.example/k:1").unwrap().pinned(Digest([10; 32]));
        assert_eq!(name.to_string(), format!("oci://a.example/k@sha256:{digest}"));
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        let long = format!("oci://a.example/{}", "a".repeat(300));
        for bad in [
            "oci://",
            "oci://a.example",
            "oci://a.example/",
            "oci:///x",
            "oci://u:p@a.example/x",
            "oci://a.example/../x",
            "oci://a.example/x?y",
            "oci://a.example/X",
            "oci://a.example/x:",
            "oci://a.example/x:-a",
            "oci://a.example/x@sha256:12",
            "oci://a.example/x@md5:12",
            "oci://а.example/x",
            "oci://a.example/x#y",
            "oci://a.example//x",
            "oci://a.example/x%2f",
            "oci://a b/x",
            "https://a.example/x",
            &long,
        ] {
            let told = OciName::parse(bad).unwrap_err().to_string();
            assert!(told.contains("names no package in a registry") && told.contains("\nhint: oci://HOST"), "{told}");
        }
    }
}

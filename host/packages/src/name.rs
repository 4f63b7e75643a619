//! Names of packages as people give them, and names that look like others. It looks nothing up.

pub mod oci;

use std::path::PathBuf;

use agentry_kernel::digest::Digest;
use agentry_kernel::labels;
use agentry_kernel::text::{deceives, line};
pub use reqwest::Url;
pub use semver::Version;
use semver::VersionReq;

use self::oci::OciName;
use crate::fault::Fault;

/// `acme:bookkeeper`, and which versions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Who made it.
    pub publisher: String,
    /// The agent.
    pub agent: String,
    /// Any if none.
    pub version: Option<Versions>,
}

/// Which versions a person means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// A whole version: that one, and what was built of it where no build is named.
    One(Version),
    /// Those that fit.
    Fit(VersionReq),
}

/// What a person wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By its name, out of an index.
    Named(Named),
    /// Out of a registry of containers.
    Oci(OciName),
    /// A file of a server.
    Web(Url),
    /// A file of this machine.
    File(PathBuf),
    /// The file that has this digest, out of an index.
    Digest(Digest),
}

impl Named {
    /// `acme:bookkeeper`
    pub fn name(&self) -> String {
        format!("{}:{}", self.publisher, self.agent)
    }

    /// Reads `publisher:name`, perhaps with `@version`.
    ///
    /// # Errors
    /// If it is none, with the letter that makes it so where one does.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        const HINT: &str = "a package is publisher:name or publisher:name@version, such as acme:bookkeeper@1.2";
        let shown = line(text);
        if let Some(letter) = text.chars().find(|letter| !letter.is_ascii() || deceives(*letter)) {
            let code = u32::from(letter);
            let message =
                format!("`{shown}` is no name of a package: it has U+{code:04X}, which looks like something else");
            return Err(Fault::usage(
                message,
                "names have lowercase letters, digits and `-`; type it, do not paste it",
            ));
        }
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let wrong = |why: &str| Fault::usage(format!("`{shown}` is no name of a package: {why}"), HINT);
        let (publisher, agent) = name.split_once(':').ok_or_else(|| wrong("it has no `:`"))?;
        for part in [publisher, agent] {
            labels::check(part).map_err(|flaw| wrong(&format!("`{}` {flaw}", line(part))))?;
        }
        let version = version.map(versions).transpose().map_err(|why| wrong(&why))?;
        Ok(Self { publisher: publisher.to_owned(), agent: agent.to_owned(), version })
    }

    /// Whether this version is meant. One that is not finished is meant only where it is named.
    pub fn means(&self, version: &Version) -> bool {
        match &self.version {
            None => version.pre.is_empty(),
            Some(Versions::One(wanted)) if wanted.build.is_empty() => wanted.cmp_precedence(version).is_eq(),
            Some(Versions::One(wanted)) => wanted == version,
            Some(Versions::Fit(wanted)) => wanted.matches(version),
        }
    }

    /// Whether a person named a whole version.
    pub fn names_one(&self) -> bool {
        matches!(self.version, Some(Versions::One(_)))
    }
}

/// Whose a package of this name is: what stands before the `:`.
pub fn publisher(package: &str) -> &str {
    package.split_once(':').map_or(package, |(publisher, _)| publisher)
}

/// Whether these are the name and the version of a package, and nothing that a screen could take for something else.
pub fn is_package(name: &str, version: &str) -> bool {
    let parts = name.split_once(':').map(|(publisher, agent)| [publisher, agent]);
    parts.is_some_and(|parts| parts.into_iter().all(|part| labels::check(part).is_ok()))
        && Version::parse(version).is_ok()
}

/// A whole version means that one; a part of one, or with a sign before it, what Cargo means by it.
fn versions(text: &str) -> Result<Versions, String> {
    if let Ok(exact) = Version::parse(text) {
        return Ok(Versions::One(exact));
    }
    VersionReq::parse(text).map(Versions::Fit).map_err(|why| why.to_string())
}

impl Reference {
    /// Reads what a person gave: `oci://…`, `https://…`, `sha256:…`, a path where it has a `/` or ends in `.wasm`, else a name.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.starts_with(oci::SCHEME) {
            return OciName::parse(text).map(Self::Oci);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return address(text).map(Self::Web);
        }
        if text.starts_with("sha256:") {
            return digest(text).map(Self::Digest);
        }
        if text.contains('/') || text.ends_with(".wasm") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        Named::parse(text).map(Self::Named)
    }
}

/// Reads the address of a file, and nothing else: no query of a moment, and nobody's name or password.
fn address(text: &str) -> Result<Url, Fault> {
    let wrong = |why: &str| {
        let hint = "https://HOST/PATH/NAME.wasm, with its signature beside it as NAME.wasm.sig";
        Fault::usage(format!("`{}` is no address of a package: {why}", line(text)), hint)
    };
    if let Some(letter) = text.chars().find(|letter| !letter.is_ascii() || deceives(*letter)) {
        return Err(wrong(&format!("it has U+{:04X}, which looks like something else", u32::from(letter))));
    }
    let url = Url::parse(text).map_err(|why| wrong(&why.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has more than a host and a path"));
    }
    if !url.path().ends_with(".wasm") {
        return Err(wrong("its path does not end in `.wasm`"));
    }
    Ok(url)
}

/// Reads `sha256:HEX`, or the 64 digits alone.
///
/// # Errors
/// If it is none.
pub fn digest(text: &str) -> Result<Digest, Fault> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    bytes(digits).map(Digest).ok_or_else(|| {
        let message = format!("`{}` is no digest", line(text));
        Fault::usage(message, "it is `sha256:` and 64 hexadecimal digits, as `agentry inspect FILE` and sha256sum show")
    })
}

/// 32 bytes as 64 lowercase hexadecimal digits.
pub(crate) fn bytes(digits: &str) -> Option<[u8; 32]> {
    Digest::of_hex(digits).map(|digest| digest.0)
}

/// Of these names, one that this other name could be taken for: the same to the eye, or the same letters with other strokes between them.
pub fn imitated<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let shape = skeleton(name);
    let mut known = known;
    known.find(|other| *other != name && skeleton(other) == shape)
}

/// What an eye makes of a name (as UTS 39 does it, for the few letters that names have).
fn skeleton(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(|letter| *letter != '-')
        .map(|letter| match letter {
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            '2' => 'z',
            '8' => 'b',
            letter => letter,
        })
        .collect();
    plain.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// The server that an address names, as a message has it.
pub(crate) fn host(url: &Url) -> String {
    line(&url.origin().ascii_serialization())
}

/// The same, or the kind of address where that names none.
pub(crate) fn origin(url: &Url) -> String {
    if url.has_host() { host(url) } else { line(&format!("{}:", url.scheme())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_publisher_an_agent_and_perhaps_versions() {
        let named = Named::parse("acme:bookkeeper").unwrap();
        assert_eq!((named.name().as_str(), &named.version), ("acme:bookkeeper", &None));
        let means = |text: &str, version: &str| Named::parse(text).unwrap().means(&Version::parse(version).unwrap());
        assert!(means("a:b", "1.4.0") && !means("a:b", "1.4.0-rc.1"));
        assert!(means("a:b@1.2", "1.4.0") && !means("a:b@1.2", "2.0.0"));
        assert!(means("a:b@1.2.0", "1.2.0") && !means("a:b@1.2.0", "1.2.1"), "a whole version is that one");
        assert!(means("a:b@1.2.0", "1.2.0+b") && means("a:b@1.2.0+a", "1.2.0+a"));
        assert!(
            !means("a:b@1.2.0+a", "1.2.0+b") && !means("a:b@1.2.0+a", "1.2.0") && !means("a:b@1.2.0", "1.2.0-rc.1")
        );
        assert_eq!(Reference::parse("./x.wasm").unwrap(), Reference::File("./x.wasm".into()));
        let url = Reference::parse("https://a.example/x/y.wasm").unwrap();
        assert_eq!(url, Reference::Web(Url::parse("https://a.example/x/y.wasm").unwrap()));
        let digest = Reference::parse(&format!("sha256:{}", "ab".repeat(32))).unwrap();
        assert_eq!(digest, Reference::Digest(Digest([0xab; 32])));
    }

    #[test]
    fn a_name_that_could_deceive_is_refused_with_the_letter() {
        for (name, part) in [
            ("аcme:bookkeeper", "U+0430"),
            ("acme:book\u{200b}keeper", "U+200B"),
            ("acme:\u{202e}repeek", "U+202E"),
            ("acme:böok", "U+00F6"),
            ("acme", "no `:`"),
            ("Acme:x", "lowercase"),
            ("a:b:c", "lowercase"),
            ("acme:", "is empty"),
            (":x", "is empty"),
            ("a:b@one", "no name of a package"),
            ("oci://x", "it has no repository"),
            ("https://a.example/x", "does not end in `.wasm`"),
            ("https://me@a.example/x.wasm", "more than a host and a path"),
            ("https://a.example/x.wasm?now", "more than a host and a path"),
            ("https://а.example/x.wasm", "U+0430"),
            ("sha256:ab", "is no digest"),
        ] {
            let told = Reference::parse(name).unwrap_err().to_string();
            assert!(told.contains(part) && !told.chars().any(|letter| letter != '\n' && deceives(letter)), "{told}");
        }
        assert!(Named::parse(&"a".repeat(5_000)).is_err());
    }

    #[test]
    fn a_package_is_named_by_two_labels_and_a_whole_version() {
        assert!(is_package("acme:x", "1.0.0-rc.1+a"));
        for (name, version) in [
            ("acme", "1.0.0"),
            ("acme:x\nhint: y", "1.0.0"),
            ("a\n:x", "1.0.0"),
            ("acme:x", "1"),
            ("acme:x", "1.0.0\n"),
        ] {
            assert!(!is_package(name, version), "{name} {version}");
        }
    }

    #[test]
    fn names_that_look_alike_are_found() {
        let known = || ["acme", "modern-books", "wide"].into_iter();
        for (name, other) in
            [("acrne", None), ("acme", None), ("modem-b00ks", Some("modern-books")), ("w1de", Some("wide"))]
        {
            assert_eq!(imitated(name, known()), other.or((name == "acrne").then_some("acme")), "{name}");
        }
    }

    #[test]
    fn a_digest_is_64_digits() {
        assert!(digest(&format!("sha256:{}", "ab".repeat(32))).is_ok());
        for bad in ["", "sha256:", "xy", &"AB".repeat(32), &"ab".repeat(31), &"é".repeat(32)] {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }
}

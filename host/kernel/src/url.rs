//! Addresses of the web as policy reads them: one canonical spelling, or none at all. It repairs nothing. Whoever dials makes
//! the address canonical first and then dials what was decided on, so that no two readers see two hosts in one text.

use core::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::limits::URL_MAX_BYTES;
use crate::text::TextFlaw;

#[cfg(test)]
mod tests;

/// An address whose parts cannot be misread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// How it is reached.
    pub scheme: Scheme,
    /// Who answers.
    pub host: Host<'a>,
    /// The same, as it is written.
    pub name: &'a str,
    /// Where; the scheme's own if the text says none.
    pub port: u16,
    /// Begins with `/`; still escaped, but nothing in it can be taken for `/`, `.` or `..`.
    pub path: &'a str,
    /// What stands behind `?`; policy does not look at it.
    pub query: Option<&'a str>,
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Encrypted.
    Https,
    /// In the open.
    Http,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A name in lowercase letters, digits, `-` and `.`; foreign letters as punycode.
    Name(&'a str),
    /// A number of four bytes.
    V4(Ipv4Addr),
    /// A number of sixteen bytes, which does not hide one of four.
    V6(Ipv6Addr),
}

impl Scheme {
    /// As it stands before `://`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port that is meant where none is written.
    pub fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl<'a> Url<'a> {
    /// Reads an address in its canonical form: `https://api.example.org:8443/v1/items?page=2`.
    ///
    /// # Errors
    /// Whatever is spelt otherwise than in that one way: capitals, user names, trailing dots, numbers of a host in another
    /// notation, a port that is the scheme's own, empty paths, dots and slashes in disguise, fragments.
    pub fn parse(text: &'a str) -> Result<Self, TextFlaw> {
        if text.len() > URL_MAX_BYTES {
            return Err("is longer than 8192 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a space, a control character or a letter that is not ASCII");
        }
        if text.contains('#') {
            return Err("has a fragment, which is never sent");
        }
        let (scheme, rest) = scheme(text)?;
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (name, port) = authority_of(authority, scheme)?;
        let host = host_of(name)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        check_path(path)?;
        Ok(Self { scheme, host, name, port, path, query })
    }
}

pub(crate) fn scheme(text: &str) -> Result<(Scheme, &str), TextFlaw> {
    [Scheme::Https, Scheme::Http]
        .into_iter()
        .find_map(|scheme| Some((scheme, text.strip_prefix(scheme.word())?.strip_prefix("://")?)))
        .ok_or("begins neither with `https://` nor with `http://`")
}

/// What names the host, and the port. A port that the scheme has anyway is not written.
fn authority_of(text: &str, scheme: Scheme) -> Result<(&str, u16), TextFlaw> {
    let (host, port) = split_port(text)?;
    let port = match port {
        None => scheme.port(),
        Some(port) if port == scheme.port() => return Err("names the port that its scheme has anyway"),
        Some(port) => port,
    };
    Ok((host, port))
}

/// What stands before and behind the last `:`. The name may still be a pattern.
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<u16>), TextFlaw> {
    if text.contains('@') {
        return Err("has a user name");
    }
    let behind = if text.starts_with('[') { text.rfind(']').map_or(0, |at| at + 1) } else { 0 };
    let Some(colon) = text[behind..].find(':').map(|at| at + behind) else { return Ok((text, None)) };
    let digits = &text[colon + 1..];
    let canonical = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port) if canonical => Ok((&text[..colon], Some(port))),
        _ => Err("has a port that is not a number from 1 to 65535"),
    }
}

/// A name or a number, in the one way that each is written.
pub(crate) fn host_of(text: &str) -> Result<Host<'_>, TextFlaw> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("has a `[` that does not end")?;
        let address: Ipv6Addr = inner.parse().map_err(|_| "is no host: not an IPv6 address between the brackets")?;
        if address.to_ipv4().is_some() && !address.is_loopback() && !address.is_unspecified() {
            return Err("hides an IPv4 address in an IPv6 one");
        }
        if !canonical_v6(inner, address) {
            return Err("writes an IPv6 address in another way than RFC 5952");
        }
        return Ok(Host::V6(address));
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    // What ends in a number is read as a number by every resolver, in one notation or another.
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !last.is_empty() && numeric {
        return text.parse().map(Host::V4).map_err(|_| "is a number that is not four decimal bytes");
    }
    name(text)?;
    Ok(Host::Name(text))
}

/// A host's name: labels of lowercase letters, digits and `-`, at most 253 bytes (RFC 1123); `_` is in use.
pub(crate) fn name(text: &str) -> Result<(), TextFlaw> {
    if text.is_empty() {
        return Err("names no host");
    }
    if text.len() > 253 {
        return Err("has a host that is longer than 253 bytes");
    }
    if text.ends_with('.') {
        return Err("has a host with a dot at its end");
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("has a host with capital letters");
    }
    if text.bytes().any(|byte| !byte.is_ascii()) {
        return Err("has a host with letters that are not ASCII; it is written in punycode");
    }
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(known);
    if text.split('.').all(label) { Ok(()) } else { Err("has a host with an empty or impossible label") }
}

/// The form of RFC 5952, compared without building a text.
fn canonical_v6(text: &str, address: Ipv6Addr) -> bool {
    use core::fmt::Write;
    struct Same<'a>(&'a str);
    impl Write for Same<'_> {
        fn write_str(&mut self, part: &str) -> core::fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(core::fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Same(text);
    write!(rest, "{address}").is_ok() && rest.0.is_empty()
}

/// A path that no server can read as another one's: no dots, slashes or ends of text in disguise.
pub(crate) fn check_path(path: &str) -> Result<(), TextFlaw> {
    if !path.starts_with('/') {
        return Err("has no path; the shortest is `/`");
    }
    if path.contains('\\') {
        return Err("has a backslash in its path");
    }
    // Servers decode once, some twice; a `%` that is escaped itself is the second time.
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err("has a `%` in its path that escapes nothing");
        };
        match high * 16 + low {
            0x2f | 0x5c => return Err("has an escaped slash in its path"),
            0x2e => return Err("has an escaped dot in its path"),
            0x25 => return Err("has an escaped `%` in its path"),
            0x00..=0x1f | 0x7f => return Err("has an escaped control character in its path"),
            _ => {}
        }
    }
    // Some servers cut `;…` off a name before they look at it.
    let plain = |part: &str| part.split(';').next().map(|name| name != "." && name != "..");
    if path.split('/').all(|part| plain(part).unwrap_or(true)) { Ok(()) } else { Err("has `.` or `..` in its path") }
}

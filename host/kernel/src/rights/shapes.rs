//! The shapes that patterns may have, in grants and in manifests. A pattern that nothing could match is refused.

use super::Origin;
use crate::text::{self, TextFlaw};
use crate::url::{self, Host, host_of};

/// A name, or its beginning and `*`: `small-*`, `mail.send`, `*`.
pub(crate) fn name(pattern: &str) -> Result<(), TextFlaw> {
    let plain = pattern.strip_suffix('*').unwrap_or(pattern);
    if plain.contains('*') {
        return Err("may have one `*`, at its end");
    }
    if pattern.contains(' ') {
        return Err("has a space");
    }
    text::name(pattern)
}

/// An agent, or the beginning of its name and `*`: `fetcher`, `mail-*`, `*`.
pub(crate) fn agent(pattern: &str) -> Result<(), TextFlaw> {
    name(pattern)?;
    match pattern.strip_suffix('*') {
        None => text::label(pattern),
        Some("") => Ok(()),
        // What it may begin with, a name may also end with.
        Some(begin) => text::label(begin.trim_end_matches('-')),
    }
}

/// A namespace, or a subtree of them: `team/board`, `team/**`, `**`.
pub(crate) fn namespace(pattern: &str) -> Result<(), TextFlaw> {
    let plain = match pattern.strip_suffix("**") {
        Some("") => return Ok(()),
        Some(subtree) => subtree.strip_suffix('/').ok_or("may end in `/**`, for a whole subtree")?,
        None => pattern,
    };
    if plain.contains('*') {
        return Err("may have a star as `/**` at its end only");
    }
    text::path(plain)
}

/// A subtree of a root: `/`, `/out`.
pub(crate) fn subtree(at: &str) -> Result<(), TextFlaw> {
    match at.strip_prefix('/') {
        None => Err("begins with `/`, which is the root itself"),
        Some("") => Ok(()),
        Some(path) if path.contains('*') => Err("has a star; a subtree is named by its top"),
        Some(path) => text::path(path),
    }
}

/// `publisher:name`
pub(crate) fn package(name: &str) -> Result<(), TextFlaw> {
    let (publisher, agent) = name.split_once(':').ok_or("is written `publisher:name`")?;
    text::label(publisher).and_then(|()| text::label(agent))
}

/// `api.example.org`, `*.example.org`, `*`, or a number.
pub(crate) fn host(pattern: &str) -> Result<(), TextFlaw> {
    match pattern.strip_prefix('*') {
        None => host_of(pattern).map(|_| ()),
        Some("") => Ok(()),
        Some(below) => {
            let name = below.strip_prefix('.').ok_or("may have one `*`, as `*.` before a name")?;
            if !name.contains('.') {
                return Err("would take in a whole top-level domain");
            }
            match host_of(name)? {
                Host::Name(_) => Ok(()),
                Host::V4(_) | Host::V6(_) => Err("may have a `*` before a name, never before a number"),
            }
        }
    }
}

/// `https://*.example.org:8443`; the scheme's own port may be written.
pub(crate) fn origin(text: &str) -> Result<Origin, TextFlaw> {
    let (scheme, rest) = url::scheme(text)?;
    if rest.contains(['/', '?', '#', '\\']) {
        return Err("ends with the host or the port; paths stand in `paths`");
    }
    let (name, port) = url::split_port(rest)?;
    host(name)?;
    Ok(Origin { scheme, host: name.into(), port: port.unwrap_or(scheme.port()) })
}

/// `GET`
pub(crate) fn method(method: &str) -> Result<(), TextFlaw> {
    let short = (1..=32).contains(&method.len());
    if short && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Ok(());
    }
    Err("is a method in capital letters")
}

/// `/v1/items`, `/v1/**`
pub(crate) fn url_path(pattern: &str) -> Result<(), TextFlaw> {
    let plain = pattern.strip_suffix("/**").unwrap_or(pattern);
    if plain.contains('*') {
        return Err("may have a star as `/**` at its end only");
    }
    if plain.contains(['?', '#']) || !plain.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("is the path of an address, escaped as it is sent, without `?` and `#`");
    }
    if plain.is_empty() { Ok(()) } else { url::check_path(plain) }
}

//! The shapes that patterns may have, in grants and in manifests. A pattern that nothing could match is refused.

use crate::text::{self, Flaw};

/// A name, or its beginning and `*`: `small-*`, `mail.send`, `*`.
pub(crate) fn name(pattern: &str) -> Result<(), Flaw> {
    let plain = pattern.strip_suffix('*').unwrap_or(pattern);
    if plain.contains('*') {
        return Err("may have one `*`, at its end");
    }
    if pattern.contains(' ') {
        return Err("has a space");
    }
    text::name(pattern)
}

/// A namespace, or a subtree of them: `team/board`, `team/**`, `**`.
pub(crate) fn namespace(pattern: &str) -> Result<(), Flaw> {
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
pub(crate) fn subtree(at: &str) -> Result<(), Flaw> {
    match at.strip_prefix('/') {
        None => Err("begins with `/`, which is the root itself"),
        Some("") => Ok(()),
        Some(path) => text::path(path),
    }
}

/// `publisher:name`
pub(crate) fn package(name: &str) -> Result<(), Flaw> {
    let (publisher, agent) = name.split_once(':').ok_or("is written `publisher:name`")?;
    text::label(publisher).and_then(|()| text::label(agent))
}

//! Whether a name, a namespace, a path or a host fits a pattern. Matching allocates nothing and never repairs what a guest passed.

use crate::url::{Host, host_of};

/// Whether a name fits a pattern: itself, or its beginning where the pattern ends in `*`.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// Whether a namespace fits a pattern: itself, or the subtree where the pattern ends in `/**`, its top included.
pub fn namespace_fits(pattern: &str, namespace: &str) -> bool {
    match pattern.strip_suffix("**") {
        Some("") => true,
        Some(subtree) => {
            namespace.starts_with(subtree) || subtree.strip_suffix('/').is_some_and(|top| namespace == top)
        }
        None => pattern == namespace,
    }
}

/// Whether a path lies in a subtree of its root: `/`, or `/out` for `out` and all below it.
///
/// Both have been checked to have no `.`, `..` or empty name, so that beginnings decide.
pub fn path_fits(at: &str, path: &str) -> bool {
    let at = at.strip_prefix('/').unwrap_or(at);
    match path.strip_prefix(at) {
        _ if at.is_empty() => true,
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Whether a canonical host fits a pattern: itself, or what lies below it where the pattern is `*.example.org`. A lone `*` is
/// every name. A number is fitted by itself only.
pub fn host_fits(pattern: &str, host: &str) -> bool {
    let is_name = || matches!(host_of(host), Ok(Host::Name(_)));
    match pattern.strip_prefix('*') {
        None => pattern == host,
        Some("") => is_name(),
        Some(below) => host.len() > below.len() && host.ends_with(below) && is_name(),
    }
}

/// Whether the path of an address fits a pattern: itself, or the subtree where the pattern ends in `/**`, its top included.
pub fn url_path_fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix("/**") {
        Some(top) => path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => pattern == path,
    }
}

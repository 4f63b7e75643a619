//! Paths: a grant gives what lies in its subtree and nothing beside it, and no spelling slips by a forbid.

use agentry_kernel::constraint::{Constraint, Test};
use agentry_kernel::json::Value;
use agentry_kernel::pattern::{namespace_fits, path_fits};

use crate::parse;

/// An input is a line with a subtree, and a line with a path.
pub fn holds(text: &str) {
    let Some((top, path)) = text.split_once('\n') else { return };
    let constraint = Constraint { tests: vec![Test::Path(vec![top.to_owned()])], optional: false };
    let fits = |path: &str| constraint.fits(&Value::Text(path.to_owned()));
    let may_fit = |path: &str| constraint.may_fit(&Value::Text(path.to_owned()));
    // Whatever it is, both are answered.
    let (given, forbidden) = (fits(path), may_fit(path));
    if !is_subtree(top) {
        return;
    }
    assert!(!given || forbidden, "a forbid of {top:?} lets {path:?} through");
    assert_eq!(given, by_names(top, path), "{top:?} and {path:?}");
    if given {
        spellings(path).iter().for_each(|other| assert!(may_fit(other), "{other:?} slips by a forbid of {top:?}"));
    }
    namespaces(top, path);
}

/// Whether a policy file may name it.
fn is_subtree(top: &str) -> bool {
    let top = top.replace('\\', "\\\\").replace('"', "\\\"");
    let site = format!("format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/x\"\nroot = \"r\"\nat = \"{top}\"\n");
    parse(&[&site]).is_ok()
}

/// The definition, name by name.
fn by_names(top: &str, path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    let names: Vec<&str> = path.split('/').filter(|_| !path.is_empty()).collect();
    let plain = |name: &&str| !matches!(*name, "" | "." | "..") && !name.contains('\\');
    let is_plain = names.iter().all(plain) && path.len() <= 1024 && !path.chars().any(is_hidden);
    let top: Vec<&str> = top.split('/').filter(|name| !name.is_empty()).collect();
    is_plain && names.starts_with(&top)
}

/// What the kernel takes in no name; it has the list.
fn is_hidden(char: char) -> bool {
    let constraint = Constraint { tests: vec![Test::Path(vec!["/".to_owned()])], optional: false };
    !char.is_ascii() && !constraint.fits(&Value::Text(char.to_string())) || char.is_control()
}

/// The same place, as somebody would write it to get past a rule.
fn spellings(path: &str) -> Vec<String> {
    let once: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let twice = once.replace('%', "%25");
    let wide = |char: char| match char {
        'a'..='z' => char::from_u32(u32::from(char) - u32::from('a') + 0xFF41).unwrap_or(char),
        other => other,
    };
    let mut spellings = vec![
        path.to_ascii_uppercase(),
        format!("/{path}"),
        format!("./{path}"),
        format!("x/../{path}"),
        format!("{path}/"),
        format!("{path}/."),
        path.replace('/', "//"),
        path.replace('/', "/./"),
        path.replace('/', "\\"),
        path.replace('/', "\u{200b}/\u{ad}"),
        path.chars().map(wide).collect(),
    ];
    // Escapes are undone twice, so what is an escape itself hides once more.
    if !path.contains('%') {
        spellings.extend([once, twice]);
    }
    spellings
}

/// The same of memory, where a subtree ends in `/**`.
fn namespaces(top: &str, namespace: &str) {
    let top = top.trim_matches('/');
    if top.is_empty() || top.contains('*') {
        return;
    }
    let pattern = format!("{top}/**");
    let below = namespace == top || namespace.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
    assert_eq!(namespace_fits(&pattern, namespace), below, "{pattern:?} and {namespace:?}");
    assert_eq!(namespace_fits(top, namespace), namespace == top);
    assert_eq!(path_fits(top, namespace), below);
}

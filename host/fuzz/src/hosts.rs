//! Hosts and addresses: one spelling each, and a pattern takes in what it says and nothing that looks like it.

use agentry_kernel::constraint::{Constraint, Test};
use agentry_kernel::json::Value;
use agentry_kernel::pattern::{host_fits, url_path_fits};
use agentry_kernel::url::{Host, Url};

use crate::parse;

/// An input is a line with the pattern of a host, and a line with an address.
pub fn holds(text: &str) {
    let Some((pattern, address)) = text.split_once('\n') else { return };
    let Ok(url) = Url::parse(address) else { return };
    is_spelt_in_one_way(&url, address);
    is_read_as_others_read_it(&url);
    let fits = host_fits(pattern, url.name);
    assert_eq!(fits, by_labels(pattern, &url), "{pattern:?} and {address:?}");
    decides_alike(pattern, address, fits);
    // Whoever puts more before or behind a name is another.
    if let (Host::Name(name), true) = (url.host, fits && !pattern.starts_with('*')) {
        for other in [format!("x{name}"), format!("{name}x"), format!("{name}.x"), format!("x.{name}")] {
            assert!(!host_fits(pattern, &other), "{pattern:?} takes in {other:?}");
        }
    }
}

/// Put together again it is the same text, and no other spelling of it is read.
fn is_spelt_in_one_way(url: &Url<'_>, text: &str) {
    let port = if url.port == url.scheme.port() { String::new() } else { format!(":{}", url.port) };
    let query = url.query.map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(format!("{}://{}{port}{}{query}", url.scheme.word(), url.name, url.path), text);
    let (scheme, path) = (url.scheme.word(), format!("{}{query}", url.path));
    let others = [
        format!("{scheme}://{}{port}{path}", url.name.to_ascii_uppercase()),
        format!("{scheme}://{}.{port}{path}", url.name),
        format!("{scheme}://x@{}{port}{path}", url.name),
        format!("{scheme}://{}:{:05}{path}", url.name, url.port),
        format!("{scheme}://{}{port}/..{path}", url.name),
        format!("{scheme}://{}{port}{path}#x", url.name),
    ];
    for other in others.iter().filter(|other| other.as_str() != text) {
        assert!(Url::parse(other).is_err(), "{other:?} beside {text:?}");
    }
}

/// What a resolver would take for a number is one to us.
fn is_read_as_others_read_it(url: &Url<'_>) {
    let bare = url.name.trim_start_matches('[').trim_end_matches(']');
    match (url.host, bare.parse::<std::net::IpAddr>()) {
        (Host::Name(name), read) => {
            assert!(read.is_err() && name == url.name);
            let last = name.rsplit('.').next().unwrap_or_default();
            assert!(!last.starts_with(|first: char| first.is_ascii_digit()) || last.parse::<u64>().is_err(), "{name}");
        }
        (Host::V4(address), read) => assert_eq!(read, Ok(address.into())),
        (Host::V6(address), read) => {
            assert_eq!(read, Ok(address.into()));
            assert!(address.to_ipv4_mapped().is_none(), "a number hides in another");
        }
    }
}

/// The definition, by labels from the right.
fn by_labels(pattern: &str, url: &Url<'_>) -> bool {
    let is_name = matches!(url.host, Host::Name(_));
    let Some(below) = pattern.strip_prefix('*') else { return pattern == url.name };
    // Policy files have no other pattern with a star; matching is by the text behind it.
    let Some(below) = below.strip_prefix('.') else { return host_fits(pattern, url.name) };
    let labels: Vec<&str> = url.name.rsplit('.').collect();
    let wanted: Vec<&str> = below.rsplit('.').collect();
    is_name && labels.len() > wanted.len() && labels.starts_with(&wanted)
}

/// A grant and a forbid of a policy that names the pattern, on an argument that is the address.
fn decides_alike(pattern: &str, address: &str, fits: bool) {
    let shown = pattern.replace('\\', "\\\\").replace('"', "\\\"");
    let grant = format!(
        "format = 1\nlayer = \"grant\"\nagent = \"a\"\n[[allow]]\nid = \"a/t\"\ntool = \"t\"\nargs.at = {{ host = \"{shown}\" }}\n\
         [[http]]\nid = \"a/h\"\nto = \"https://{shown}\"\npaths = [\"/**\"]\n"
    );
    let Ok(policy) = parse(&[&grant]) else { return };
    let Some(grant) = policy.grants.first() else { return };
    let constraint = Constraint { tests: vec![Test::Host(vec![pattern.to_owned()])], optional: false };
    let value = Value::Text(address.to_owned());
    assert_eq!(constraint.fits(&value), fits);
    assert!(!fits || constraint.may_fit(&value), "a forbid lets {address:?} through");
    let Ok(url) = Url::parse(address) else { return };
    for right in &grant.rights.http {
        let allowed = right.allows("GET", &url);
        assert!(!allowed || (fits && url.scheme == right.to.scheme && url.port == right.to.port));
        assert!(url_path_fits("/**", url.path));
    }
}

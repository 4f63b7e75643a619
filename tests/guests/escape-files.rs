//! Reads and writes outside of its roots by every spelling it knows, and tells what each try gave.
//! Justification: no path leads out of a root.

use std::collections::BTreeMap;

use agentry::Failure;
use agentry::files::root;

const PATHS: [&str; 12] = [
    "..",
    "../secret.txt",
    "a/../../secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "./../secret.txt",
    "a/./b",
    "a//b",
    "..\\secret.txt",
    "link/secret.txt",
    "nul\0byte",
    "",
];

#[agentry::agent]
async fn run() -> Result<BTreeMap<String, String>, Failure> {
    let mut said = BTreeMap::new();
    for path in PATHS {
        let read = root("documents").read(path).map(|bytes| format!("{} bytes", bytes.len()));
        let written = root("reports").write(path, "escaped").map(|()| "written".to_owned());
        said.insert(format!("read {path:?}"), read.unwrap_or_else(|error| error.to_string()));
        said.insert(format!("write {path:?}"), written.unwrap_or_else(|error| error.to_string()));
    }
    for name in ["", "..", "other", "documents/.."] {
        let read = root(name).read("a.txt").map(|bytes| format!("{} bytes", bytes.len()));
        said.insert(format!("root {name:?}"), read.unwrap_or_else(|error| error.to_string()));
    }
    let denied = root("documents").write("a.txt", "escaped").map(|()| "written".to_owned());
    said.insert("write to what is only read".into(), denied.unwrap_or_else(|error| error.to_string()));
    Ok(said)
}

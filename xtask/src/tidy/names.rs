//! One name in every room: an interface of `wit/` has a file of its name in the SDK and on both sides of the port.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Findings, Tree};

/// What `wit/` holds besides syscalls: types that all share, and the world.
const NOT_SYSCALLS: [&str; 3] = ["types", "outcome", "world"];

/// Rooms with one file a syscall.
const ROOMS: [&str; 3] = ["sdk-guest/src", "host/runtime/src/syscalls", "host/runtime/src/dispatch"];

/// The interfaces of the syscall table, by name.
pub fn interfaces(tree: &Tree) -> BTreeSet<String> {
    let wit = tree.files().filter(|file| file.path.parent() == Some(Path::new("wit")));
    let names = wit.filter_map(|file| file.path.file_stem()?.to_str());
    names.filter(|name| !NOT_SYSCALLS.contains(name)).map(str::to_owned).collect()
}

/// Checks that each interface is in each room.
pub fn check(tree: &Tree, findings: &mut Findings) {
    for name in interfaces(tree) {
        for room in ROOMS {
            let path = Path::new(room).join(format!("{name}.rs"));
            if tree.get(&path).is_none() {
                findings.missing(&path, format_args!("wit/{name}.wit has no file of its name here"));
            }
        }
        let wit = format!("wit/{name}.wit");
        let file = tree.get(&wit).expect("it is listed");
        if !file.text.contains(&format!("interface {name} {{")) {
            findings.file(file, 1, format_args!("holds no `interface {name}`"));
        }
    }
}

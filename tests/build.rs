//! Lists the guests, so that a guest without a test does not compile.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=guests");
    println!("cargo::rerun-if-changed=build.rs");
    let files = fs::read_dir("guests").expect("the guests are here").flatten().map(|entry| entry.path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("lib.rs"))
        .filter_map(|path| path.file_stem()?.to_str().map(|name| name.replace('-', "_")))
        .collect();
    names.sort();
    let uses: String = names.iter().map(|name| format!("use super::{name} as _;\n")).collect();
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("guests.rs"), uses).expect("the list can be written");
}

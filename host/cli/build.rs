//! Rebuilds the command when the SDK or the table that it carries changes.

fn main() {
    println!("cargo::rerun-if-changed=../../sdk-guest");
    println!("cargo::rerun-if-changed=../../wit");
}

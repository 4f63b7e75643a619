//! The layers inside each crate: a module imports those below it alone, what stands apart imports nothing of each other, and no crate passes on
//! what is another's.

use super::{Findings, Tree};
use crate::house::{self, Crate};
use crate::workspace;

/// Checks every crate of the host against the layers in its manifest, and that the picture shows them.
pub fn check(tree: &Tree, findings: &mut Findings) {
    let crates = match house::crates(tree) {
        Ok(crates) => crates,
        Err(error) => return findings.missing("host", format_args!("{error:#}")),
    };
    for of in &crates {
        ordered(of, findings);
        apart(of, findings);
        listed(of, findings);
    }
    for file in tree.rust("host").filter(|file| !file.path.starts_with("host/fuzz")) {
        for (number, line) in file.lines() {
            if line.trim_start().starts_with("pub use agentry_") {
                findings.file(file, number, "a name stands where it is defined: import it from its own crate");
            }
        }
    }
    match house::drawn(tree) {
        Ok(drawn) if workspace::read(house::PICTURE).is_ok_and(|kept| kept == drawn) => {}
        Ok(_) => findings.missing(house::PICTURE, "is not what the code looks like now: run `cargo xtask house`"),
        Err(error) => findings.missing(house::PICTURE, format_args!("{error:#}")),
    }
}

/// Every arrow leads down, but for those that the list still knows.
fn ordered(of: &Crate, findings: &mut Findings) {
    for (arrow, place) in &of.arrows {
        if !of.descends(arrow) && !of.upward.contains(arrow) {
            let place = format!("{}:{}", place.file.display(), place.line);
            findings
                .missing(place, format_args!("`{arrow}` leads up or aside: `order` in host/{}/Cargo.toml", of.name));
        }
    }
}

/// Nothing of one side is named on the other: neither its modules nor the crates that are its own.
fn apart(of: &Crate, findings: &mut Findings) {
    for (arrow, place) in of.arrows.iter().chain(&of.foreign).filter(|(arrow, _)| of.crosses(arrow)) {
        let place = format!("{}:{}", place.file.display(), place.line);
        findings.missing(
            place,
            format_args!("`{arrow}` leads past the port: `apart` in host/{}/Cargo.toml has them on two sides", of.name),
        );
    }
    for name in of.apart.iter().flatten() {
        let times = of.apart.iter().filter(|side| side.contains(name)).count();
        if times > 1 || !(of.modules.contains(name) || of.dependencies.contains(name)) {
            findings.missing(
                format!("host/{}/Cargo.toml", of.name),
                format_args!("`apart` names `{name}`, which is no module and no dependency, or stands there twice"),
            );
        }
    }
}

/// The lists in the manifest name what is there, all of it, once.
fn listed(of: &Crate, findings: &mut Findings) {
    let manifest = format!("host/{}/Cargo.toml", of.name);
    for module in of.modules.iter().filter(|module| of.modules.len() > 1 && of.layer(module).is_none()) {
        findings.missing(&manifest, format_args!("`{module}` stands in no layer of `order`"));
    }
    for name in of.layers.iter().flatten() {
        let times = of.layers.iter().flatten().filter(|other| *other == name).count();
        if !of.modules.contains(name) || times > 1 {
            findings
                .missing(&manifest, format_args!("`order` names `{name}`, which is no module or stands there twice"));
        }
    }
    for arrow in &of.upward {
        if of.descends(arrow) || !of.arrows.contains_key(arrow) {
            findings.missing(&manifest, format_args!("`upward` still lists `{arrow}`, which is mended: take it out"));
        }
    }
}

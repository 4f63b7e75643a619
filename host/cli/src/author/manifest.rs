//! `agent.toml`: what an author writes about an agent. The build fills in what can be known otherwise.

use std::fs;
use std::path::Path;

use agentry_kernel::manifest::{FORMAT, Manifest};
use anyhow::{Context, Result};
use toml::Table;

use super::sdk;

/// The file's name, beside `Cargo.toml`.
pub const FILE: &str = "agent.toml";

/// Reads a manifest; `version` may come from the `Cargo.toml` beside it, `format` and `wit` are those of this build.
pub fn read(path: &Path) -> Result<Manifest> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read {shown}\nhint: an agent says in `{FILE}` what it is and wants; `agentry new` writes a first one")
    })?;
    let mut table: Table = text.parse().with_context(|| format!("{shown} is not TOML"))?;
    table.entry("format").or_insert_with(|| i64::from(FORMAT).into());
    table.entry("wit").or_insert_with(|| sdk::wit_version().into());
    if !table.contains_key("version")
        && let Some(version) = path.parent().and_then(|directory| crate_version(&directory.join("Cargo.toml")))
    {
        table.insert("version".into(), version.into());
    }
    table.try_into().with_context(|| format!("{shown} is not a manifest"))
}

fn crate_version(path: &Path) -> Option<String> {
    let table: Table = fs::read_to_string(path).ok()?.parse().ok()?;
    Some(table.get("package")?.get("version")?.as_str()?.to_owned())
}

/// The part of a manifest's name behind the colon, or all of it.
pub fn agent(manifest: &Manifest) -> &str {
    manifest.name.split_once(':').map_or(manifest.name.as_str(), |(_, agent)| agent)
}

//! `agent.toml`: what an author writes about an agent. The build fills in what can be known otherwise.

use std::fs;
use std::path::Path;

use agentry_kernel::manifest::{FORMAT, Manifest};
use agentry_runtime::shapes;
use anyhow::{Context, Error, Result, anyhow, bail};
use toml::{Table, Value};

use super::sdk;

/// The file's name, beside `Cargo.toml`.
pub const FILE: &str = "agent.toml";

/// Reads a manifest; `version` may come from the `Cargo.toml` beside it, `format` and `wit` are those of this build.
pub fn read(path: &Path) -> Result<Manifest> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read {shown}\nhint: an agent says in `{FILE}` what it is and wants; `agentry new` writes a first one")
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let said: Table = text.parse().map_err(|error| mistake(path, text, 0, &error))?;
    // In front, because behind they might fall into a table; the lines of mistakes are counted without them.
    let added = defaults(path, &said);
    let whole = format!("{added}{text}");
    let manifest: Manifest = toml::from_str(&whole).map_err(|error| mistake(path, &whole, added.len(), &error))?;
    if let Some(key) = empty_want(&said) {
        bail!("{shown}: `{key}` asks for nothing\nhint: name what it wants, or take the line out");
    }
    // Now, and not after minutes of compiling.
    manifest.validate().with_context(|| format!("{shown} is not a manifest"))?;
    shapes::check(&manifest).with_context(|| shown.to_string())?;
    Ok(manifest)
}

/// A list of wants in which nothing stands: whoever wrote it meant something.
fn empty_want(said: &Table) -> Option<String> {
    let wants = said.get("wants")?.as_table()?;
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    wants.iter().find_map(|(want, value)| {
        if is_empty(value) {
            return Some(format!("wants.{want}"));
        }
        // What is left open there, a manifest says better by leaving it out. Of models and namespaces the kernel says more.
        let lists = value.as_table().filter(|_| !["llm", "memory"].contains(&want.as_str()))?;
        lists.iter().find(|(_, list)| is_empty(list)).map(|(key, _)| format!("wants.{want}.{key}"))
    })
}

/// Lines that the author may leave out.
fn defaults(path: &Path, said: &Table) -> String {
    let version = path.parent().and_then(|directory| crate_version(&directory.join("Cargo.toml")));
    let lines = [
        ("format", Some(FORMAT.to_string())),
        ("wit", Some(format!("{:?}", sdk::wit_version()))),
        ("version", version.map(|version| format!("{version:?}"))),
    ];
    let lacking = lines.into_iter().filter(|(key, _)| !said.contains_key(*key));
    lacking.filter_map(|(key, value)| Some(format!("{key} = {}\n", value?))).collect()
}

fn mistake(path: &Path, text: &str, added: usize, error: &toml::de::Error) -> Error {
    let at = error.span().map_or(added, |span| span.start).clamp(added, text.len());
    let line = text.as_bytes()[added..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let said = error.message().lines().next().unwrap_or("that is not TOML");
    anyhow!(
        "{}:{line}: {said}\nhint: each key of `{FILE}` has its place and its type; `agentry new` writes a whole one to compare with",
        path.display()
    )
}

fn crate_version(path: &Path) -> Option<String> {
    let table: Table = fs::read_to_string(path).ok()?.parse().ok()?;
    Some(table.get("package")?.get("version")?.as_str()?.to_owned())
}

/// The part of a manifest's name behind the colon, or all of it.
pub fn agent(manifest: &Manifest) -> &str {
    manifest.name.split_once(':').map_or(manifest.name.as_str(), |(_, agent)| agent)
}

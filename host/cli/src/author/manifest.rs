//! `agent.toml`: what an author writes about an agent. The build fills in what can be known otherwise.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use agentry_config::ConfigError;
use agentry_config::reader::Document;
use agentry_engine::package::PackageError;
use agentry_kernel::manifest::{FORMAT, Manifest, ManifestMistake};
use agentry_runtime::shapes;
use anyhow::{Result, anyhow};
use toml::{Table, Value};

use super::sdk;

mod schema;
mod words;

/// The file's name, beside `Cargo.toml`.
pub const FILE: &str = "agent.toml";

/// What holds a schema.
const SCHEMAS: [&str; 2] = ["input_schema", "output_schema"];

/// Reads a manifest; `version` may come from the `Cargo.toml` beside it, `format` and `wit` are those of this build.
pub fn read(path: &Path) -> Result<Manifest> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::InvalidData => "save it as UTF-8 text".to_owned(),
            ErrorKind::NotFound => {
                format!("an agent says in `{FILE}` what it is and wants; `agentry new` writes a first one")
            }
            _ => "name another one with --manifest FILE, or let this user read it".to_owned(),
        };
        anyhow!("cannot read {shown}: {error}\nhint: {hint}")
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let document = Document { file: &shown, text };
    let version = path.parent().and_then(|directory| crate_version(&directory.join("Cargo.toml")));
    words::check(document, version.is_some())?;
    let said: Table = text.parse().map_err(|error| undecoded(document, 0, &error))?;
    // In front, because behind they might fall into a table; the places of mistakes are counted without them.
    let added = defaults(version.as_deref(), &said);
    let whole = format!("{added}{text}");
    let manifest: Manifest = toml::from_str(&whole).map_err(|error| undecoded(document, added.len(), &error))?;
    if let Some(key) = empty_want(&said) {
        let message = format!("`{key}` asks for nothing");
        return Err(document
            .mistake(document.place_of(&key), message, "name what it wants, or take the line out")
            .into());
    }
    // Now, and not after minutes of compiling.
    manifest
        .validate()
        .map_err(|ManifestMistake { key, message, hint }| document.mistake(document.place_of(&key), message, hint))?;
    shapes::check(&manifest).map_err(|PackageError { message, hint }| {
        let key = SCHEMAS.iter().find(|key| message.contains(**key)).unwrap_or(&SCHEMAS[0]);
        document.mistake(document.place_of(key), message, hint)
    })?;
    for key in SCHEMAS {
        misspelt(document, key, &said)?;
    }
    Ok(manifest)
}

/// A word of a schema that nobody knows constrains nothing: one that is written nearly as a word of JSON Schema is a mistake.
fn misspelt(document: Document<'_>, key: &str, said: &Table) -> Result<(), ConfigError> {
    let schema = said.get(key).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    let Some((word, near)) = schema.as_ref().and_then(|schema| schema::misspelt(schema)) else { return Ok(()) };
    let message = format!("`{key}` has a word that JSON Schema does not know: `{word}`");
    Err(document.mistake(document.place_of(key), message, format!("did you mean `{near}`?")))
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
fn defaults(version: Option<&str>, said: &Table) -> String {
    let lines = [
        ("format", Some(FORMAT.to_string())),
        ("wit", Some(format!("{:?}", sdk::wit_version()))),
        ("version", version.map(|version| format!("{version:?}"))),
    ];
    let lacking = lines.into_iter().filter(|(key, _)| !said.contains_key(*key));
    lacking.filter_map(|(key, value)| Some(format!("{key} = {}\n", value?))).collect()
}

/// What no check before the decoder found; `added` bytes stand in front of the file's text.
fn undecoded(document: Document<'_>, added: usize, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start.saturating_sub(added));
    let said = error.message().lines().next().unwrap_or("that is not TOML");
    document.mistake(at, said, format!("each key of `{FILE}` has its place and its type; docs/agent.md has them all"))
}

fn crate_version(path: &Path) -> Option<String> {
    let table: Table = fs::read_to_string(path).ok()?.parse().ok()?;
    Some(table.get("package")?.get("version")?.as_str()?.to_owned())
}

/// The part of a manifest's name behind the colon, or all of it.
pub fn agent(manifest: &Manifest) -> &str {
    manifest.name.split_once(':').map_or(manifest.name.as_str(), |(_, agent)| agent)
}

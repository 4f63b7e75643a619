//! The custom section `agentry-manifest`: canonical JSON in, canonical JSON out. Canonical means: what [`append`] would write for the
//! same manifest, so one manifest has one digest, and nothing can hide in spaces, unknown fields or repeated keys.

use std::borrow::Cow;

use agentry_kernel::limits::MANIFEST_MAX_BYTES;
use agentry_kernel::manifest::{FORMAT, Manifest};
use serde_json::Value;
use wasm_encoder::{CustomSection, Section};

use super::PackageError;

/// The section's name.
pub const SECTION: &str = "agentry-manifest";

/// The manifest of a section.
pub(crate) fn parse(section: &[u8]) -> Result<Manifest, PackageError> {
    if section.len() > MANIFEST_MAX_BYTES {
        return Err(too_long(section.len()));
    }
    let text = std::str::from_utf8(section).map_err(|_| damaged("it is not UTF-8"))?;
    let manifest: Manifest = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(PackageError::new(
            format!("the manifest has format {}, and this host reads format {FORMAT}", manifest.format),
            "build the agent with the `agentry` of this host",
        ));
    }
    if canonical(&manifest)? != section {
        return Err(damaged("it is not canonical: keys are sorted, none stands twice, and there are no spaces"));
    }
    validated(&manifest)?;
    Ok(manifest)
}

fn validated(manifest: &Manifest) -> Result<(), PackageError> {
    manifest.validate().map_err(|mistake| PackageError::new(mistake.message, mistake.hint))
}

/// The component with the manifest behind it.
pub(crate) fn append(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, PackageError> {
    validated(manifest)?;
    let data = canonical(manifest)?;
    if data.len() > MANIFEST_MAX_BYTES {
        return Err(too_long(data.len()));
    }
    let mut package = component.to_vec();
    CustomSection { name: Cow::Borrowed(SECTION), data: Cow::Owned(data) }.append_to(&mut package);
    Ok(package)
}

/// JSON with sorted keys and no spaces.
pub(crate) fn canonical(manifest: &Manifest) -> Result<Vec<u8>, PackageError> {
    let value = serde_json::to_value(manifest).map_err(|error| damaged(&error.to_string()))?;
    Ok(canonical_json(&value).into_bytes())
}

/// A value as JSON with sorted keys and no spaces: one text for one value, for what is hashed and signed.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// Not left to `serde_json`: whether its objects are sorted depends on a feature that any dependency may switch on.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn damaged(why: &str) -> PackageError {
    PackageError::new(
        format!("the component's manifest is damaged: {}", why.lines().next().unwrap_or_default()),
        "build it again with `agentry build`; a manifest is not edited by hand",
    )
}

fn too_long(bytes: usize) -> PackageError {
    PackageError::new(
        format!("the manifest has {bytes} bytes, more than {MANIFEST_MAX_BYTES}"),
        "shorten its reasons and schemas",
    )
}

//! Bills of materials: JSON that says what a package is made of, in CycloneDX or SPDX. One is named by its digest in what its publisher signs;
//! nothing that stands in it is believed or shown here.

use std::fmt;
use std::path::Path;

use agentry_kernel::digest::Digest;
use agentry_kernel::text::line;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::file;
use crate::limits::SBOM_MAX_BYTES;

/// A bill of materials, as a statement names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sbom {
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// What it is written in.
    pub format: Format,
}

/// What one is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ECMA-424.
    CycloneDx,
    /// ISO/IEC 5962, and what came after it.
    Spdx,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CycloneDx => "CycloneDX",
            Self::Spdx => "SPDX",
        })
    }
}

/// By what each format says that it is it.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "bomFormat")]
    bom_format: Option<Value>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<Value>,
    #[serde(rename = "@context")]
    context: Option<Value>,
}

impl Sbom {
    /// The one in a file.
    ///
    /// # Errors
    /// If there is none, it is too large, or it is in neither format.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let shown = line(&path.display().to_string());
        let bytes = file::read(path, SBOM_MAX_BYTES)?.ok_or_else(|| {
            Fault::usage(format!("there is no {shown}"), "name the file of a bill of materials: --sbom BOM.json")
        })?;
        let format = format(&bytes).map_err(|what| {
            let hint = "write it as JSON in CycloneDX or SPDX: agentry build --sbom BOM.json, or another program that makes one";
            Fault::usage(format!("{shown} {what}"), hint)
        })?;
        Ok(Self { digest: Digest(Sha256::digest(&bytes).into()), format })
    }
}

fn format(bytes: &[u8]) -> Result<Format, &'static str> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    // A list would be read as the fields, one after the other.
    let head: Option<Head> = (first == Some(&b'{')).then(|| serde_json::from_slice(bytes).ok()).flatten();
    let Head { bom_format, spdx_version, context } = head.ok_or("is no object of JSON")?;
    let says = |value: Option<Value>, what: &str| value.is_some_and(|value| value.to_string().contains(what));
    match (says(bom_format, "\"CycloneDX\""), says(spdx_version, "\"SPDX-") || says(context, "spdx.org/rdf/")) {
        (true, false) => Ok(Format::CycloneDx),
        (false, true) => Ok(Format::Spdx),
        _ => Err("is neither CycloneDX nor SPDX"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bill_of_materials_in_json_is_refused_by_its_name() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bom.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Sbom::read(&path)
        };
        let good = read("\n{\"bomFormat\": \"CycloneDX\", \"components\": []}").unwrap();
        assert_eq!(good.format, Format::CycloneDx);
        assert_eq!(read("{\"spdxVersion\": \"SPDX-2.3\"}").unwrap().format, Format::Spdx);
        let newer = "{\"@context\": [\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\"], \"@graph\": []}";
        assert_eq!(read(newer).unwrap().format, Format::Spdx);
        assert_ne!(read("{\"bomFormat\": \"CycloneDX\", \"components\": [ ]}").unwrap().digest, good.digest);
        let deep = format!("{{\"bomFormat\":\"CycloneDX\",\"x\":{}", "[".repeat(100_000));
        for (text, what) in [
            ("", "is no object of JSON"),
            ("SPDXVersion: SPDX-2.3", "is no object of JSON"),
            ("<bom/>", "is no object of JSON"),
            ("[\"CycloneDX\", null, null]", "is no object of JSON"),
            ("{\"bomFormat\": \"CycloneDX\"} x", "is no object of JSON"),
            (&deep, "is no object of JSON"),
            ("{}", "is neither CycloneDX nor SPDX"),
            ("{\"bomFormat\": 5}", "is neither CycloneDX nor SPDX"),
            ("{\"bomFormat\": \"CycloneDX\", \"spdxVersion\": \"SPDX-2.3\"}", "is neither CycloneDX nor SPDX"),
        ] {
            assert!(read(text).unwrap_err().message.ends_with(what), "{text:.60}");
        }
        let large = read(&" ".repeat(SBOM_MAX_BYTES + 1)).unwrap_err();
        assert!(large.message.contains("has more than"), "{large}");
        assert!(Sbom::read(&place.path().join("none")).unwrap_err().message.contains("there is no"));
    }
}

//! What input an agent takes and what output it gives, as its manifest says by JSON Schema, ready to check with. It repairs nothing.

use agentry_drivers::tools::schema::Schema;
use agentry_engine::package::PackageError;
use agentry_kernel::manifest::Manifest;
use serde_json::Value;

/// The schemas of one package.
pub(crate) struct Shapes {
    input: Option<Schema>,
    output: Option<Schema>,
}

impl Shapes {
    /// Compiles what the manifest states; what it does not state is anything.
    ///
    /// # Errors
    /// If a schema is none, or points elsewhere.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, PackageError> {
        let compiled = |key: &str, text: &Option<String>| {
            let schema = text.as_deref().map(Schema::new).transpose();
            schema.map_err(|why| {
                let hint =
                    "write JSON Schema in ''' … ''', for example {\"type\": \"object\", \"required\": [\"question\"]}";
                PackageError::new(format!("`{key}` of the manifest is no JSON Schema: {why}"), hint)
            })
        };
        let input = compiled("input_schema", &manifest.input_schema)?;
        Ok(Self { input, output: compiled("output_schema", &manifest.output_schema)? })
    }

    /// Whether the agent takes this input, which is JSON.
    ///
    /// # Errors
    /// Where it does not fit, and why.
    pub(crate) fn check_input(&self, json: &str) -> Result<(), String> {
        let Some(schema) = &self.input else { return Ok(()) };
        let input: Value = serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))?;
        schema.fits(&input, "the input")
    }

    /// Whether this is an output that the agent said it gives.
    ///
    /// # Errors
    /// Where it does not fit, and why.
    pub(crate) fn check_output(&self, output: &Value) -> Result<(), String> {
        self.output.as_ref().map_or(Ok(()), |schema| schema.fits(output, "the output"))
    }
}

/// The schema of what an agent takes, if it says that this is an object: as whoever calls tools gives it.
pub(crate) fn object_taken(manifest: &Manifest) -> Option<&str> {
    let schema = manifest.input_schema.as_deref()?;
    let stated: Value = serde_json::from_str(schema).ok()?;
    (stated.get("type")?.as_str()? == "object").then_some(schema)
}

/// Whether the schemas of a manifest are schemas, for whoever builds a package.
///
/// # Errors
/// As [`Shapes::of`].
pub fn check(manifest: &Manifest) -> Result<(), PackageError> {
    Shapes::of(manifest).map(drop)
}

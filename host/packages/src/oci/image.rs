//! A package as an image of a registry: a manifest that names the component and its signature by digest. Which layer is which, its type
//! says and not its place; anything that leaves that open is refused.

use agentry_kernel::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::limits::{FILE_MAX_BYTES, LAYERS_MAX, SIGNATURE_MAX_BYTES};

/// Of the manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Of the whole.
const ARTIFACT: &str = "application/vnd.agentry.package.v1";

/// Of the component.
const COMPONENT: &str = "application/wasm";

/// Of the envelope that its publisher signed.
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// Of a configuration that says nothing, and its bytes.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_BYTES: &[u8] = b"{}";

/// A blob, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    annotations: Value,
}

/// What a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// The component.
    pub component: Layer,
    /// The envelope, if there is one.
    pub envelope: Option<Layer>,
}

/// A layer that may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// Of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub bytes: usize,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    layers: Vec<Blob>,
}

impl Image {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If it is none, or it is not clear which of its layers is the package and which its signature.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            let hint = "`agentry publish FILE --to oci://…` puts a package there as it has to be";
            Fault::denied(format!("what is there is no package: {why}"), hint)
        };
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| wrong("it has no manifest of one image"))?;
        if manifest.schema_version != 2 || manifest.media_type.is_some_and(|kind| kind != MANIFEST) {
            return Err(wrong("its manifest is of another kind"));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(wrong(&format!("it has more than {LAYERS_MAX} layers")));
        }
        let one = |kind: &str, max: usize| {
            let mut of_kind = manifest.layers.iter().filter(|layer| layer.media_type == kind);
            let (first, second) = (of_kind.next(), of_kind.next());
            if second.is_some() {
                return Err(wrong(&format!("it has several layers of {kind}")));
            }
            let layer = |blob: &Blob| {
                let digest = blob.digest.strip_prefix("sha256:").and_then(Digest::of_hex);
                let bytes = usize::try_from(blob.size).ok().filter(|bytes| *bytes <= max);
                Ok(Layer {
                    digest: digest.ok_or_else(|| wrong("a layer of it has no digest of SHA-256"))?,
                    bytes: bytes.ok_or_else(|| wrong(&format!("its layer of {kind} has more than {max} bytes")))?,
                })
            };
            first.map(layer).transpose()
        };
        let component = one(COMPONENT, FILE_MAX_BYTES)?.ok_or_else(|| wrong("none of its layers is a component"))?;
        Ok(Self { component, envelope: one(ENVELOPE, SIGNATURE_MAX_BYTES)? })
    }
}

/// The blobs of a package, each with its digest, and the manifest that names them. `file` is what tools call it that know of no packages.
pub(super) fn made<'b>(
    file: &str,
    version: &str,
    component: &'b [u8],
    envelope: &'b [u8],
) -> ([(Digest, &'b [u8]); 3], Vec<u8>) {
    let blobs = [EMPTY_BYTES, component, envelope].map(|bytes| (Digest(Sha256::digest(bytes).into()), bytes));
    let blob = |(digest, bytes): (Digest, &[u8]), kind: &str, title: Option<&str>| Blob {
        media_type: kind.to_owned(),
        digest: format!("sha256:{digest}"),
        size: bytes.len() as u64,
        annotations: title.map_or(Value::Null, |title| json!({"org.opencontainers.image.title": title})),
    };
    let signature = format!("{file}.sig");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": blob(blobs[0], EMPTY, None),
        "layers": [blob(blobs[1], COMPONENT, Some(file)), blob(blobs[2], ENVELOPE, Some(&signature))],
        "annotations": {"org.opencontainers.image.version": version},
    });
    (blobs, serde_json::to_vec(&manifest).expect("a manifest has nothing that JSON lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        let (_, manifest) = made("keeper.wasm", "1.0.0", b"component", b"envelope");
        serde_json::from_slice(&manifest).unwrap()
    }

    fn read(manifest: &Value) -> Result<Image, Fault> {
        Image::read(manifest.to_string().as_bytes())
    }

    #[test]
    fn which_layer_is_which_its_type_says_and_not_its_place() {
        let mut manifest = whole();
        let image = read(&manifest).unwrap();
        assert_eq!((image.component.bytes, image.envelope.map(|layer| layer.bytes)), (9, Some(8)));
        manifest["layers"].as_array_mut().unwrap().reverse();
        assert_eq!(read(&manifest).unwrap(), image);
        // Others may stand between them.
        manifest["layers"]
            .as_array_mut()
            .unwrap()
            .insert(1, json!({"mediaType": "text/plain", "digest": "sha512:0", "size": 9}));
        assert_eq!(read(&manifest).unwrap(), image);
        manifest["layers"].as_array_mut().unwrap().remove(0);
        assert_eq!(read(&manifest).unwrap(), Image { envelope: None, ..image });
    }

    #[test]
    fn a_manifest_that_leaves_anything_open_is_refused() {
        let change = |change: fn(&mut Value)| {
            let mut manifest = whole();
            change(&mut manifest);
            read(&manifest).unwrap_err().message
        };
        let twice = |manifest: &mut Value| {
            let first = manifest["layers"][0].clone();
            manifest["layers"].as_array_mut().unwrap().push(first);
        };
        let many = |manifest: &mut Value| {
            let other = json!({"mediaType": "text/plain", "digest": "sha256:0", "size": 1});
            manifest["layers"].as_array_mut().unwrap().resize(100, other);
        };
        for (told, part) in [
            (change(twice), "several layers of application/wasm"),
            (change(many), "more than 16 layers"),
            (change(|manifest| manifest["layers"][0]["mediaType"] = "x".into()), "none of its layers is a component"),
            (change(|manifest| manifest["layers"][0]["digest"] = "sha256:12".into()), "no digest of SHA-256"),
            (change(|manifest| manifest["layers"][0]["digest"] = "md5:12".into()), "no digest of SHA-256"),
            (change(|manifest| manifest["layers"][0]["size"] = u64::MAX.into()), "more than"),
            (change(|manifest| manifest["layers"][1]["size"] = 100_000.into()), "more than"),
            (change(|manifest| manifest["layers"][0]["size"] = (-1).into()), "no manifest"),
            (change(|manifest| manifest["schemaVersion"] = 1.into()), "of another kind"),
            (
                change(|manifest| manifest["mediaType"] = "application/vnd.oci.image.index.v1+json".into()),
                "of another kind",
            ),
            (change(|manifest| *manifest = json!({"manifests": []})), "no manifest"),
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(Image::read(b"\xff").is_err());
    }
}

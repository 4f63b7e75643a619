//! Takes a component apart without running it: what it imports, what it exports, which sections it carries.

use agentry_store::limits::COMPONENT_MAX_BYTES;
use wasmparser::component_types::{ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentValType};
use wasmparser::{
    Chunk, ComponentTypeRef, Encoding, Parser, Payload, PrimitiveValType, TypeBounds, ValidPayload, Validator,
    WasmFeatures, types,
};

use super::imports::{Import, WIT_VERSION};
use super::manifest::SECTION;
use super::parts::{PartCount, Parts};
use super::{PackageError, too_big};

/// The parts that a decision needs.
#[derive(Debug)]
pub(crate) struct Structure<'a> {
    pub imports: Vec<Import>,
    pub manifests: Vec<&'a [u8]>,
    pub parts: Parts,
}

const BUILD_HINT: &str = "build it for wasm32-wasip2 with `agentry build`";

/// Validates the whole of a component, nested ones too, and reads its shape. The validator bounds neither time nor depth.
pub(crate) fn read(bytes: &[u8]) -> Result<Structure<'_>, PackageError> {
    if bytes.len() > COMPONENT_MAX_BYTES {
        return Err(too_big(u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
    }
    check_header(bytes)?;
    let mut validator = Validator::new_with_features(features());
    let (mut import_names, mut manifests) = (Vec::new(), Vec::new());
    let (mut depth, mut parts) = (0_u32, PartCount::default());
    let mut whole = None;
    for payload in payloads(bytes) {
        let payload = payload.map_err(|error| broken(bytes, &error))?;
        match &payload {
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section.clone() {
                    let import = import.map_err(|error| broken(bytes, &error))?;
                    // A world that says `use outcome.{failure}` imports the type by its name: there is nothing in it to call.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        import_names.push(import.name.name);
                    }
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                manifests.push(section.data())
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        match validator.payload(&payload).map_err(|error| broken(bytes, &error))? {
            ValidPayload::End(types) => whole = Some(types),
            ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::Func(..) => {}
        }
        parts.add(&payload).map_err(|error| broken(bytes, &error))?;
    }
    let Some(types) = whole else {
        return Err(truncated());
    };
    let (types, parts) = (types.as_ref(), parts.whole()?);
    check_export(types)?;
    let imports = import_names.into_iter().filter_map(|name| import(types, name)).collect();
    Ok(Structure { imports, manifests, parts })
}

/// What lies in a component and in those inside it, in the order of the file, but for function bodies: these are validated where they are compiled, and
/// nothing is decided by them.
fn payloads(mut bytes: &[u8]) -> impl Iterator<Item = wasmparser::Result<Payload<'_>>> {
    let (mut parser, mut outer, mut done) = (Parser::new(0), Vec::new(), false);
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let payload = match parser.parse(bytes, true) {
            Ok(Chunk::Parsed { payload, consumed }) => {
                bytes = &bytes[consumed..];
                payload
            }
            // Nothing comes behind these bytes.
            Ok(Chunk::NeedMoreData(_)) => return None,
            Err(error) => {
                done = true;
                return Some(Err(error));
            }
        };
        match &payload {
            Payload::ModuleSection { parser: inner, .. } | Payload::ComponentSection { parser: inner, .. } => {
                outer.push(std::mem::replace(&mut parser, inner.clone()));
            }
            Payload::CodeSectionStart { size, .. } => {
                // One that is cut is left to the parser, which says so.
                if let Some(behind) = bytes.get(*size as usize..) {
                    parser.skip_section();
                    bytes = behind;
                }
            }
            Payload::End(_) => match outer.pop() {
                Some(of) => parser = of,
                None => done = true,
            },
            _ => {}
        }
        Some(Ok(payload))
    })
}

/// What a guest may be made of: what the engine is set to run, see `engine::settings`, and not several memories in one module.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::default() | WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC;
    let off = WasmFeatures::THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::GC
        | WasmFeatures::FUNCTION_REFERENCES;
    features.remove(off);
    features
}

fn check_header(bytes: &[u8]) -> Result<(), PackageError> {
    if bytes.is_empty() {
        return Err(PackageError::new("the file is empty", BUILD_HINT));
    }
    if bytes.len() < 8 && b"\0asm".starts_with(&bytes[..bytes.len().min(4)]) {
        return Err(truncated());
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(PackageError::new(
            "the file is not WebAssembly",
            "an agent is a `.wasm` component in binary form; neither text nor machine code is accepted",
        ));
    }
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => Ok(()),
        Some(Ok(_)) => Err(PackageError::new(
            "the file is a core module, not a component",
            "`agentry build FILE.wasm --manifest agent.toml` makes an agent of it",
        )),
        Some(Err(error)) => Err(broken(bytes, &error)),
        None => Err(truncated()),
    }
}

fn truncated() -> PackageError {
    PackageError::new("the component is truncated", "copy it again, whole, or build it again")
}

fn broken(bytes: &[u8], error: &wasmparser::BinaryReaderError) -> PackageError {
    if error.offset() >= bytes.len() || error.message().contains("unexpected end") {
        return truncated();
    }
    let message: String = error.message().lines().next().unwrap_or_default().chars().take(200).collect();
    PackageError::new(format!("the component is not valid: {message} (at byte {})", error.offset()), BUILD_HINT)
}

/// None for a plain type that the world names, such as `failure`: it is a word and nothing to call.
fn import(types: types::TypesRef<'_>, name: &str) -> Option<Import> {
    use wasmparser::component_types::ComponentAnyTypeId;

    let functions = match types.component_item_for_import(name).map(|item| item.ty) {
        Some(ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(_), .. }) => return None,
        Some(ComponentEntityType::Instance(id)) => {
            let exports = types[id].exports.iter();
            exports.filter(|(_, e)| matches!(e.ty, ComponentEntityType::Func(_))).map(|(n, _)| n.clone()).collect()
        }
        _ => Vec::new(),
    };
    Some(Import { interface: name.to_owned(), functions })
}

/// An agent is one function.
fn check_export(types: types::TypesRef<'_>) -> Result<(), PackageError> {
    let Some(item) = types.component_item_for_export("run") else {
        return Err(PackageError::new(
            "the component does not export `run`",
            format!("an agent exports `run` of the world `agent` in agentry:agent@{WIT_VERSION}"),
        ));
    };
    match item.ty {
        ComponentEntityType::Func(id) if is_run(types, &types[id]) => Ok(()),
        _ => Err(PackageError::new(
            "the component exports a `run` of another type",
            format!(
                "it is `run: async func(input-json: string) -> result<string, failure>` in agentry:agent@{WIT_VERSION}"
            ),
        )),
    }
}

/// The outline of `run`; linking compares the rest, down to the cases of `types.error`.
fn is_run(types: types::TypesRef<'_>, run: &ComponentFuncType) -> bool {
    let text = |ty: &ComponentValType| matches!(ty, ComponentValType::Primitive(PrimitiveValType::String));
    let [(_, parameter)] = &*run.params else {
        return false;
    };
    let Some(ComponentValType::Type(result)) = run.result else {
        return false;
    };
    let ComponentDefinedType::Result { ok: Some(ok), err: Some(ComponentValType::Type(error)), .. } = &types[result]
    else {
        return false;
    };
    let ComponentDefinedType::Record(failure) = &types[*error] else {
        return false;
    };
    let fields: Vec<&str> = failure.fields.keys().map(|name| name.as_str()).collect();
    run.async_ && text(parameter) && text(ok) && fields == ["message", "cause"]
}

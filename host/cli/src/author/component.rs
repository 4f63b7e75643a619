//! Makes components of plain modules, as compilers of C and Go write them. It runs none of them.

use agentry_kernel::manifest::Wants;
use anyhow::{Context, Result, anyhow};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

use super::world;

/// The header of a module in binary form; that of a component differs behind the first four bytes.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Whether this is a module that is no component yet.
pub fn is_module(bytes: &[u8]) -> bool {
    bytes.starts_with(MODULE)
}

/// The component of a module: with the world that it was compiled against, or, if it does not say which, the one of these wants. What it
/// calls of WASI preview 1 becomes the WASI 0.2 that hosts have.
///
/// # Errors
/// If the module imports or exports what the world does not say.
pub fn of_module(module: &[u8], wants: &Wants) -> Result<Vec<u8>> {
    encode(&with_world(module, wants)?).context(
        "the module does not become a component\n\
         hint: compile it without a `main` (as a reactor, a shared library) against the world that `agentry build --world DIR` writes; \
         its one export is `run`",
    )
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    // An adapter that nothing is imported from leaves no trace.
    ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}

fn with_world(module: &[u8], wants: &Wants) -> Result<Vec<u8>> {
    let (stripped, _) = metadata::decode(module).context("the module is not valid\nhint: compile it again, whole")?;
    let mut module = module.to_vec();
    if stripped.is_none() {
        let (resolve, world) = resolved(wants)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    Ok(module)
}

fn resolved(wants: &Wants) -> Result<(Resolve, WorldId)> {
    let mut sources = SourceMap::default();
    for (name, text) in world::files(wants) {
        sources.push_str(&name, text);
    }
    let mut resolve = Resolve::default();
    let table = sources.parse().map_err(|(_, error)| anyhow!("the table does not parse: {error}"))?;
    let package = resolve.push_group(table).map_err(|error| anyhow!("the table does not resolve: {error}"))?;
    let world = resolve.select_world(&[package], Some(world::NAME))?;
    Ok((resolve, world))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_no_agent_is_refused_with_a_hint() {
        let empty = MODULE.to_vec();
        assert!(is_module(&empty) && !is_module(b"\0asm\x0d\0\x01\0"));
        let error = of_module(&empty, &Wants::default()).unwrap_err();
        assert!(format!("{error}").contains("hint: compile it"), "{error:#}");
        assert!(format!("{error:#}").contains("run"), "{error:#}");
        let broken = of_module(b"\0asm\x01\0\0\0\xff", &Wants::default()).unwrap_err();
        assert!(format!("{broken}").contains("not valid"), "{broken:#}");
    }
}

//! `agentry publish`: an author vouches for a package with their key, and lists it in an index or puts it in a registry if one is named. It
//! sends nothing anywhere else.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_engine::package::Package;
use agentry_packages::Fault;
use agentry_packages::file;
use agentry_packages::index::repository::Repository;
use agentry_packages::key::{self, PublicKey};
use agentry_packages::name::oci::OciName;
use agentry_packages::statement::Statement;
use anyhow::{Context, Result};
use serde_json::json;

use super::packages::registry;
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen::{self, GOOD, styled, text, units};

/// Signs a package, and lists it in an index or puts it in a registry
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry publish bookkeeper.wasm                       # writes bookkeeper.wasm.sig
  agentry publish bookkeeper.wasm --index ./packages    # and lists it there; its admin signs it in: agentry index sign
  agentry publish bookkeeper.wasm --to oci://ghcr.io/acme/bookkeeper

The publisher in its manifest is the name of the key, unless --key names another.")]
pub struct Args {
    /// The component, as `agentry build` made it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The key of this home to sign with [default: the publisher's]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The directory of an index to list it in
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
    /// A registry of containers to put it in; the tag is its version, unless one is named
    #[arg(long, value_name = "oci://HOST/REPOSITORY")]
    to: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Signs and lists it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let bytes = agentry_engine::package::read(&args.file)?;
    let package = package::of(&bytes).with_context(|| text::line(&args.file.display().to_string()))?;
    let manifest = &package.manifest;
    let publisher = manifest.name.split(':').next().unwrap_or_default();
    let key = key::open(home.path(), args.key.as_deref().unwrap_or(publisher))?;
    let statement = Statement::of(&package, PublicKey::of(&key));
    let envelope = statement.sign(&key);
    if let Some(directory) = &args.index {
        Repository::at(directory, units::now()).publish(&package, &bytes, &envelope, &key)?;
    }
    let pushed = match &args.to {
        Some(to) => Some(push(&home, to, &package, (&bytes, &envelope))?),
        None => None,
    };
    let beside = PathBuf::from(format!("{}.sig", args.file.display()));
    file::write(&beside, &envelope, file::directory_of(&beside), 0o644)?;
    if args.json {
        screen::print_json(&json!({
            "name": manifest.name,
            "version": manifest.version,
            "seq": manifest.seq,
            "digest": package.digest.to_string(),
            "key": statement.key,
            "signature": beside.display().to_string(),
            "pushed": pushed.as_ref().map(ToString::to_string),
        }))?;
    } else {
        let (name, version) = (text::line(&manifest.name), text::line(&manifest.version));
        let signed = styled(GOOD, format!("{name} {version} is signed by {}", statement.key));
        screen::tell(&format!("{signed}\n  {}\n", text::line(&beside.display().to_string())));
        if let Some(pushed) = &pushed {
            screen::tell(&format!("  {}\n", text::line(&pushed.to_string())));
        }
        if let Some(directory) = &args.index {
            let directory = text::line(&directory.display().to_string());
            screen::tell(&format!(
                "  listed in {directory}; whoever runs the index signs it in: agentry index sign {directory}\n"
            ));
        }
    }
    Ok(Exit::Done.into())
}

/// Puts it in a registry, with its signature as a layer beside it.
fn push(home: &Home, to: &str, package: &Package, parts: (&[u8], &[u8])) -> Result<OciName> {
    let mut name = OciName::parse(to)?;
    if name.digest.is_some() {
        let hint = "leave the digest out: it comes out of what is put there";
        return Err(Fault::usage(format!("{name} is one image already"), hint).into());
    }
    let manifest = &package.manifest;
    // A tag has no `+`.
    name.tag.get_or_insert_with(|| manifest.version.replace('+', "_"));
    let mut registry = registry(home, &name)?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let file = format!("{}.wasm", manifest.agent());
    Ok(threads.block_on(registry.push(&file, &manifest.version, parts))?)
}

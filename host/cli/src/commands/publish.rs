//! `agentry publish`: an author vouches for a package with their key, and lists it in an index or puts it in a registry if one is named. It
//! sends nothing anywhere else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_engine::package::Package;
use agentry_journal::export::sign::SigningKey;
use agentry_packages::Fault;
use agentry_packages::file;
use agentry_packages::holders::Vouched;
use agentry_packages::index::repository::Repository;
use agentry_packages::key::{self, PublicKey};
use agentry_packages::keyring::Keyring;
use agentry_packages::limits::SIGNATURE_MAX_BYTES;
use agentry_packages::name::{self, oci::OciName};
use agentry_packages::sbom::Sbom;
use agentry_packages::statement::Statement;
use anyhow::{Context, Result};
use serde_json::json;

use super::index::listed;
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
  agentry publish bookkeeper.wasm --sbom bookkeeper.cdx.json
  agentry publish bookkeeper.wasm --index ./packages    # and lists it there; its admin signs it in: agentry index sign
  agentry publish bookkeeper.wasm --to oci://ghcr.io/acme/bookkeeper

The publisher in its manifest is the name of the key, unless --key names another. Of a publisher with several keys, who is known by \
`agentry key trust`, each holder says the same in turn, with the .sig of the one before beside the file.")]
pub struct Args {
    /// The component, as `agentry build` made it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The key of this home to sign with [default: the publisher's]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// What it is made of, in JSON of CycloneDX or SPDX: its digest becomes a part of what is signed
    #[arg(long, value_name = "BOM.json")]
    sbom: Option<PathBuf>,
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
    let publisher = name::publisher(&manifest.name);
    let key = key::open(home.path(), args.key.as_deref().unwrap_or(publisher))?;
    let beside = PathBuf::from(format!("{}.sig", args.file.display()));
    let goes_on = args.index.is_some() || args.to.is_some();
    let sbom = args.sbom.as_deref().map(Sbom::read).transpose()?;
    let envelope = signed(&home, (&package, sbom), &key, (&beside, goes_on))?;
    let Statement { vouched, sbom, .. } = Statement::read(&envelope)?;
    if goes_on {
        Statement::open(&envelope).map_err(|fault| fault.about("not yet"))?;
    }
    let listing = match &args.index {
        Some(directory) => Some(Repository::at(directory, units::now()).publish(&package, &bytes, &envelope, &key)?),
        None => None,
    };
    let pushed = match &args.to {
        Some(to) => Some(push(&home, to, &package, (&bytes, &envelope))?),
        None => None,
    };
    file::write(&beside, &envelope, file::directory_of(&beside), 0o644)?;
    if args.json {
        screen::print_json(&json!({
            "name": manifest.name,
            "version": manifest.version,
            "seq": manifest.seq,
            "digest": package.digest.to_string(),
            "key": vouched.holders.name().to_string(),
            "signed_by": vouched.by,
            "sbom": sbom.map(|sbom| sbom.to_string()),
            "threshold": vouched.holders.threshold(),
            "signature": beside.display().to_string(),
            "pushed": pushed.as_ref().map(ToString::to_string),
        }))?;
    } else {
        let (name, version) = (text::line(&manifest.name), text::line(&manifest.version));
        let own = PublicKey::of(&key);
        let by = if vouched.by.contains(&own) { own.to_string() } else { "as many as must".to_owned() };
        let signed = styled(GOOD, format!("{name} {version} is signed by {by}"));
        screen::tell(&format!("{signed}\n  {}\n", text::line(&beside.display().to_string())));
        if let Some(sbom) = sbom {
            screen::tell(&format!("  with the bill of materials sha256:{sbom}\n"));
        }
        if vouched.holders.only().is_none() {
            screen::tell(&co_signed(&vouched, &args.file));
        }
        if let Some(pushed) = &pushed {
            screen::tell(&format!("  {}\n", text::line(&pushed.to_string())));
        }
        if let (Some(directory), Some(listing)) = (&args.index, listing) {
            let directory = text::line(&directory.display().to_string());
            screen::tell(&listed(listing, "listed", &directory));
        }
    }
    Ok(Exit::Done.into())
}

/// The envelope beside a package, signed by this key as well: a new one, or the one that lies there, if that is of the same package by the
/// same keys, with the same bill of materials if one is given. Whose word it is says the home, if it knows the publisher by this key and others; else what lies there. Where it goes on from here, one that
/// enough have signed stays as it is: those who sign a list in turn list the same.
fn signed(
    home: &Home,
    (package, sbom): (&Package, Option<Sbom>),
    key: &SigningKey,
    (beside, goes_on): (&Path, bool),
) -> Result<Vec<u8>> {
    let sbom = sbom.map(|sbom| sbom.digest);
    let own = PublicKey::of(key);
    let publisher = name::publisher(&package.manifest.name);
    let known = Keyring::load(home.path())?.publishers.remove(publisher).and_then(|known| known.party.keys().cloned());
    let known = known.filter(|holders| holders.has(own));
    let there = file::read(beside, SIGNATURE_MAX_BYTES)?.and_then(|there| Some((Statement::read(&there).ok()?, there)));
    let there = there.filter(|(said, _)| {
        let holders = &said.vouched.holders;
        let same = said.vouches_for(package).is_ok() && (sbom.is_none() || said.sbom == sbom);
        same && holders.has(own) && known.as_ref().is_none_or(|known| known == holders)
    });
    match there {
        Some((said, there)) if goes_on && said.vouched.suffices() => Ok(there),
        Some((said, there)) => Ok(said.add_to(&there, key)?),
        None => Ok(Statement::of(package, known.unwrap_or_else(|| own.into())).with_sbom(sbom).sign(key)),
    }
}

/// How many have signed, and what is next if more must.
fn co_signed(vouched: &Vouched, file: &Path) -> String {
    let (count, threshold) = (vouched.by.len(), vouched.holders.threshold());
    let next = match vouched.suffices() {
        true => String::new(),
        false => format!(
            ": hand it on with its .sig to whoever holds another key, who says the same: agentry publish {}",
            text::line(&file.display().to_string())
        ),
    };
    format!("  {count} of the {threshold} keys that must sign have signed{next}\n")
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

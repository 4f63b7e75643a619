//! `agentry verify --sbom`: whether a bill of materials is the one that a package's publisher signed with it. It says nothing of what stands in
//! it, and changes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_kernel::digest::Digest;
use agentry_packages::Fault;
use agentry_packages::config::PackagesConfig;
use agentry_packages::file;
use agentry_packages::keyring::Keyring;
use agentry_packages::limits::SIGNATURE_MAX_BYTES;
use agentry_packages::lock::Lock;
use agentry_packages::name;
use agentry_packages::party::Voucher;
use agentry_packages::sbom::Sbom;
use agentry_packages::set::envelope;
use agentry_packages::statement::Statement;
use anyhow::{Result, bail};
use serde_json::json;

use super::{check, one_or_all};
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, BAD, GOOD, HINT, styled, text};

/// Holds a bill of materials against the one package that is named: an agent that is installed, or a file with its signature beside it.
pub fn run(bom: &Path, named: &[String], home: &HomeArgs, json: bool) -> Result<ExitCode> {
    let [named] = named else {
        bail!(
            "--sbom is about one package\nhint: name one agent that is installed, or one file: agentry verify FILE.wasm --sbom BOM.json"
        )
    };
    let home = home.existing()?;
    let sbom = Sbom::read(bom)?;
    let file = Path::new(named);
    let said = match file.extension().is_some_and(|end| end == "wasm") {
        true => of_file(&home, file)?,
        false => of_agent(&home, named)?,
    };
    let trouble = trouble(said.sbom, sbom.digest);
    let shown = format!("{} {}", text::line(&said.name), text::line(&said.version));
    if json {
        let (trouble, hint) = trouble.as_ref().map(|(trouble, hint)| (trouble, hint)).unzip();
        screen::print_json(&json!({
            "name": said.name, "version": said.version, "sbom": said.sbom.map(|sbom| sbom.to_string()),
            "file": sbom.digest.to_string(), "format": sbom.format.to_string(), "trouble": trouble, "hint": hint,
        }))?;
    } else {
        let line = match &trouble {
            None => format!(
                "{} {shown}: this {} file is its bill of materials, signed by {}\n    sha256:{}\n",
                styled(GOOD, "✓"),
                sbom.format,
                said.vouched.holders,
                sbom.digest
            ),
            Some((trouble, hint)) => {
                format!("{} {shown}: {trouble}\n    {}: {hint}\n", styled(BAD, "✗"), styled(HINT, "hint"))
            }
        };
        screen::print(&line)?;
    }
    Ok(if trouble.is_none() { Exit::Done } else { Exit::Failed }.into())
}

/// What is wrong and what to do; none if nothing is.
fn trouble(said: Option<Digest>, is: Digest) -> Option<(String, String)> {
    match said {
        Some(said) if said == is => None,
        Some(said) => {
            let hint = format!("get the one whose digest is sha256:{said} from its publisher");
            Some((format!("its publisher signed another bill of materials than this one, which is sha256:{is}"), hint))
        }
        None => {
            let hint = "ask its publisher for one: agentry publish FILE --sbom BOM.json names it in what is signed";
            Some(("its publisher signed no bill of materials with it".to_owned(), hint.to_owned()))
        }
    }
}

/// What was signed of an agent that is installed, which is what was agreed to.
fn of_agent(home: &Home, agent: &str) -> Result<Statement> {
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    let found = one_or_all(&lock, &[agent.to_owned()])?;
    let (_, release) = found.first().expect("one was asked for");
    check(home.path(), release, &PackagesConfig::load(home.path())?, &keyring)?;
    let unsigned = |how: &str| {
        let hint = "only a statement says which bill of materials is its own: get the .sig that belongs to it";
        Fault::denied(format!("nobody signed a statement of {agent}: {how}"), hint)
    };
    match (&release.vouched, envelope(home.path(), release)?) {
        (Some(Voucher::Keys(_)), Some(envelope)) => Ok(Statement::open(&envelope)?),
        (Some(Voucher::Identity(_)), _) => Err(unsigned("it is vouched for by a bundle of cosign").into()),
        (Some(Voucher::Keys(_)) | None, _) => Err(unsigned("it was named by its digest").into()),
    }
}

/// What was signed of a file, by whom this home knows as its publisher.
fn of_file(home: &Home, path: &Path) -> Result<Statement> {
    let bytes = agentry_engine::package::read(path)?;
    let beside = PathBuf::from(format!("{}.sig", path.display()));
    let envelope = file::read(&beside, SIGNATURE_MAX_BYTES)?.ok_or_else(|| {
        let message = format!("{} is not signed: there is no {}", path.display(), beside.display());
        Fault::denied(text::line(&message), "get the .sig that belongs to it")
    })?;
    let said = Statement::open(&envelope)?;
    said.is_of(agentry_engine::package::digest(&bytes))?;
    let publisher = name::publisher(&said.name);
    PackagesConfig::load(home.path())?.takes_keys(publisher)?;
    Keyring::load(home.path())?.trusts(publisher, &Voucher::from(said.vouched.clone()), None)?;
    Ok(said)
}

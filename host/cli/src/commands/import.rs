//! `agentry import`: a run out of a file that `agentry export` wrote. It says what was checked of it, and what nobody can check.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use agentry_abi::clock::Clock;
use agentry_journal::export::{self, ExportError, Incoming};
use agentry_kernel::Digest;
use agentry_kernel::journal::Status;
use agentry_store::limits::EXPORT_MAX_BYTES;
use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::exit::{Exit, With};
use crate::home::HomeArgs;
use crate::package;
use crate::screen::{self, DIM, GOOD, styled, text};

/// Takes a run that another home exported into this one
#[derive(clap::Args)]
#[command(after_help = "\
Whoever made the file may have written anything into it, so the run is marked for ever as one that came out of a file, and \
carries the label `untrusted`. It can be looked at and replayed here. One that had not ended is suspended, and nothing but \
`agentry resume RUN` makes it go on: then on the limits, budgets, approvals and labels of this home, as if it began. Let it \
go on in one place only.

Examples:
  agentry import run.agentry
  agentry import run.agentry --signed-by 3f0c…   # refuses a file that the home of this key did not sign
  agentry import run.agentry --home ./elsewhere && agentry replay last --home ./elsewhere")]
pub struct Args {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Take only what the home of this key signed; `agentry export --sign` prints its key
    #[arg(long, value_name = "KEY", value_parser = key)]
    signed_by: Option<Digest>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Takes it in.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let most = EXPORT_MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = match args.file.as_os_str() == "-" {
        true => io::stdin().take(most).read_to_end(&mut bytes),
        false => File::open(&args.file).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.with_context(|| {
        format!("cannot read {}\nhint: `agentry export RUN --out FILE` writes one", args.file.display())
    })?;
    let incoming = export::open(&bytes, Clock::System.now()).map_err(failed)?;
    drop(bytes);
    signed(&incoming, args.signed_by)?;
    let agent = belongs(&incoming)?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let record = threads.block_on(incoming.keep(home.path())).map_err(failed)?;
    let signer = record.imported.and_then(|imported| imported.signer);
    let mut checked = vec![
        "the file is whole, and its record and its journal agree".to_owned(),
        format!("its component, read apart, is {agent}"),
    ];
    checked.extend(signer.map(|key| match args.signed_by {
        Some(_) => format!("it is signed by {key}, as asked"),
        None => format!("it is signed by {key}"),
    }));
    let mut unchecked = vec!["that the run did what the file says".to_owned()];
    unchecked.push(match (signer, args.signed_by) {
        (None, _) => "who made the file: nobody signed it".to_owned(),
        (Some(_), None) => "whose key that is: say --signed-by KEY if you know".to_owned(),
        (Some(_), Some(_)) => "whether the home of that key is to be believed".to_owned(),
    });
    if args.json {
        screen::print_json(&json!({
            "run": record.id.to_string(),
            "agent": record.agent,
            "package": record.package,
            "status": record.status,
            "labels": record.labels,
            "signer": signer.map(|key| key.to_string()),
            "checked": checked,
            "not_checked": unchecked,
        }))?;
        return Ok(Exit::Done.into());
    }
    let next = if record.status == Status::Suspended {
        format!("it goes on by: agentry resume {}", record.id)
    } else {
        format!("`agentry trace {}` shows it", record.id)
    };
    let head = format!("run {} of {}; {next}", record.id, text::line(&record.agent));
    screen::tell(&format!("{}  {head}\n", styled(GOOD, "imported")));
    let parts = [("checked", checked.join("; ")), ("not checked", unchecked.join("; "))];
    for (title, parts) in parts {
        screen::tell(&format!("  {}\n", styled(DIM, format_args!("{title}: {parts}"))));
    }
    Ok(Exit::Done.into())
}

/// A key as `agentry export --sign` prints it.
fn key(given: &str) -> Result<Digest, String> {
    let wrong = || "a key is the 64 hexadecimal digits that `agentry export --sign` prints".to_owned();
    let mut key = [0; 32];
    if given.len() != 64 || !given.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, digits) in key.iter_mut().zip(given.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(Digest(key))
}

/// Whether the home that was asked for signed it.
fn signed(incoming: &Incoming, by: Option<Digest>) -> Result<()> {
    match (by, incoming.signer()) {
        (Some(wanted), Some(signer)) if wanted != signer => {
            bail!(
                "this file is signed by {signer}, and not by {wanted}\nhint: get it from the home of that key, or leave --signed-by out"
            )
        }
        (Some(wanted), None) => {
            bail!(
                "nobody signed this file, and it was to be signed by {wanted}\nhint: export it there with --sign, or leave --signed-by out"
            )
        }
        _ => Ok(()),
    }
}

/// The package that the component inside says it is, if the run is of that one. The component is read in a child with limits.
fn belongs(incoming: &Incoming) -> Result<String> {
    let record = incoming.record();
    let package = package::of(incoming.component()).context("the component in this file cannot be taken")?;
    let manifest = &package.manifest;
    let named = format!("{}@{}", manifest.name, manifest.version);
    if manifest.agent() != record.agent || named != record.package {
        bail!(
            "the run in this file is of agent `{}` ({}), and its component is {}\nhint: export the run again, in the home where it ran",
            text::line(&record.agent),
            text::line(&record.package),
            text::line(&named)
        );
    }
    Ok(text::line(&named))
}

fn failed(error: ExportError) -> anyhow::Error {
    match error {
        ExportError::Store(_) => With(Exit::Unavailable, error.into()).into(),
        error => error.into(),
    }
}

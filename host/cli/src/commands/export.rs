//! `agentry export`: a run as one file.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use agentry_journal::export;
use agentry_journal::export::sign::SigningKey;
use anyhow::{Context, Result, anyhow};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, DIM, GOOD, styled, units};

/// Writes a run into one file: its journal, all that it read and wrote, and its component
#[derive(clap::Args)]
#[command(after_help = "\
The file holds what the agent was told and said, so it is as private as that; it is made for its owner alone. Secrets are \
never in it, because no agent sees one. With --sign, the key of this home vouches for the file; it is made at need, in \
`export.key`, and its public half is printed for `agentry import --signed-by`.

Examples:
  agentry export last --out run.agentry
  agentry export last --out run.agentry --sign
  agentry export 0gx3 --out - | ssh elsewhere agentry import -")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The file, which must not be there; `-` is standard output
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
    /// Sign it with the key of this home
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    home: HomeArgs,
}

/// Writes it.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let history =
        home.history()?.context("nothing has run in this home yet\nhint: `agentry run FILE.wasm` runs an agent")?;
    let record = history.whole_run(&args.run)?;
    let key = if args.sign { Some(SigningKey::of(home.path())?) } else { None };
    let bytes = export::export(&history, &record, key.as_ref())?;
    if args.out.as_os_str() == "-" {
        io::stdout().write_all(&bytes).context("cannot write to stdout")?;
        tell_signer(key.as_ref());
        return Ok(Exit::Done.into());
    }
    let shown = args.out.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.out);
    let mut file = file.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AlreadyExists => "name a file that is not there",
            ErrorKind::NotFound | ErrorKind::NotADirectory => "name a file in a directory that is there",
            _ => "name a file in a directory that you may write",
        };
        anyhow!(error).context(format!("cannot make {shown}\nhint: {hint}"))
    })?;
    if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_all()) {
        // Half a run is none, and would be in the way of the next try.
        let _ = fs::remove_file(&args.out);
        return Err(anyhow!(error).context(format!("cannot write {shown}")));
    }
    let size = units::bytes(bytes.len() as u64);
    screen::tell(&format!("{}  run {} to {shown}, {size}\n", styled(GOOD, "exported"), record.id));
    tell_signer(key.as_ref());
    Ok(Exit::Done.into())
}

fn tell_signer(key: Option<&SigningKey>) {
    if let Some(key) = key {
        screen::tell(&format!("  {}\n", styled(DIM, format_args!("signed by {}", key.public()))));
    }
}

//! `agentry index`: a directory of signed packages that any static server can offer. Publishers sign what they list; the index signs who
//! they are, and what is the newest.

mod build;
mod lists;
mod pages;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_journal::export::sign::SigningKey;
use agentry_packages::Fault;
use agentry_packages::holders::Holders;
use agentry_packages::index::repository::{Listing, PassedOver, Repository};
use agentry_packages::key::{self, PublicKey};
use anyhow::Result;

use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, GOOD, HINT, given, styled, text, units};

/// The key of an index, unless somebody names another.
const KEY: &str = "index";

/// How long a snapshot is in force: an index that nobody signs for so long is refused.
const DAYS: u16 = 30;

/// Makes and signs an index of packages
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Init(Init),
    Add(Add),
    Remove(Remove),
    Sign(Sign),
    Rotate(Rotate),
    Build(Build),
}

/// The index and its keys.
#[derive(clap::Args)]
struct Which {
    /// The directory of the index
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The key of this home that is the index's; NAME-online signs what is the newest
    #[arg(long, value_name = "NAME", default_value = KEY)]
    key: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Makes an index that lists nobody yet, and the two keys that sign it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry index init ./packages
  agentry index add ./packages acme ed25519:5f0c…
  agentry index sign ./packages

It prints the key that whoever uses the index pins in packages.toml. Of the two keys, keys/NAME.key is needed to list publishers alone and can \
lie elsewhere; keys/NAME-online.key signs day by day.")]
struct Init {
    #[command(flatten)]
    which: Which,
    /// For how many days a signature of what is the newest is in force
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
}

/// Lists a publisher, or replaces its keys; what it publishes is under its own name alone
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry index add ./packages acme ed25519:5f0c…
  agentry index add ./packages acme ed25519:5f0c… ed25519:91ab… ed25519:c04e… --threshold 2")]
struct Add {
    #[command(flatten)]
    which: Which,
    /// The publisher
    #[arg(value_name = "PUBLISHER")]
    publisher: String,
    #[command(flatten)]
    keys: Keys,
}

/// The keys of a publisher, as a command is given them.
#[derive(clap::Args)]
pub struct Keys {
    /// Its key, or its keys
    #[arg(value_name = "ed25519:HEX", required = true)]
    keys: Vec<String>,
    /// How many of its keys must sign; needed where it has several
    #[arg(long, value_name = "K")]
    threshold: Option<usize>,
}

impl Keys {
    /// What is named, if it is an identity and not keys.
    pub fn identity(&self) -> Option<&str> {
        match (self.keys.as_slice(), self.threshold) {
            ([one], None) if one.starts_with("cosign:") => Some(one),
            _ => None,
        }
    }

    /// Whose word counts.
    pub fn holders(&self) -> Result<Holders, Fault> {
        let keys: Vec<PublicKey> = self.keys.iter().map(|key| key.parse()).collect::<Result<_, Fault>>()?;
        let threshold = match self.threshold {
            Some(threshold) => threshold,
            None if keys.len() == 1 => 1,
            None => {
                let message = format!("{} keys are named, and not how many of them must sign", keys.len());
                return Err(Fault::usage(message, "say it: --threshold 2"));
            }
        };
        Holders::new(keys, threshold)
    }
}

/// Takes a publisher out: nothing that it listed is installed from here any more
#[derive(clap::Args)]
struct Remove {
    #[command(flatten)]
    which: Which,
    /// The publisher
    #[arg(value_name = "PUBLISHER")]
    publisher: String,
}

/// Signs what lies in the index now, for another while
#[derive(clap::Args)]
struct Sign {
    #[command(flatten)]
    which: Which,
    /// For how many days
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
}

/// Replaces the keys of the index by new ones, which the old one vouches for
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry index rotate ./packages --to index-2027

Whoever pinned the old key follows by itself; for new users, publish the new one.")]
struct Rotate {
    #[command(flatten)]
    which: Which,
    /// The name of the new keys, which are made
    #[arg(long, value_name = "NAME")]
    to: String,
}

/// Writes the index as pages that need no script: a list, and one page a package with its rights in plain words
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry index build ./packages --out ./site

Each package is fetched, held against its digest and taken apart in a child process, so what a page says is what its file says.")]
struct Build {
    #[command(flatten)]
    which: Which,
    /// Where the pages go: a directory that is not there yet, or one that this made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Init(args) => init(args)?,
        Verb::Add(args) => {
            let home = args.which.home.existing()?;
            let root = key::open(home.path(), &args.which.key)?;
            args.which.repository().add(&args.publisher, &args.keys.holders()?, &root)?;
            args.which.done(&format!("{} is listed", args.publisher), true);
        }
        Verb::Remove(args) => {
            let home = args.which.home.existing()?;
            let root = key::open(home.path(), &args.which.key)?;
            args.which.repository().remove(&args.publisher, &root)?;
            args.which.done(&format!("{} is not listed any more", args.publisher), true);
        }
        Verb::Sign(args) => {
            let home = args.which.home.existing()?;
            sign(args, &home)?;
        }
        Verb::Rotate(args) => rotate(args)?,
        Verb::Build(args) => {
            let home = args.which.home.existing()?;
            let root = key::open(home.path(), &args.which.key)?;
            let packages = build::build(&args.which.directory, PublicKey::of(&root), &args.out)?;
            let out = text::line(&args.out.display().to_string());
            args.which.done(&format!("{} in {out}", units::plural(packages as u64, "package")), false);
        }
    }
    Ok(Exit::Done.into())
}

impl Which {
    fn repository(&self) -> Repository {
        Repository::at(&self.directory, units::now())
    }

    fn online(&self, home: &Home) -> Result<SigningKey> {
        Ok(key::open(home.path(), &format!("{}-online", self.key))?)
    }

    /// Says what was done, and that it has to be signed in.
    fn done(&self, what: &str, unsigned: bool) {
        screen::tell(&format!("{}\n", styled(GOOD, text::line(what))));
        if unsigned {
            let key = if self.key == KEY { String::new() } else { format!(" --key {}", text::word(&self.key)) };
            let sign = format!("agentry index sign {}{key}", text::word(self.directory.display()));
            screen::tell(&format!("  nobody sees it before it is signed in: {}\n", given::completed(&sign)));
        }
    }
}

/// What is next for whoever changed the list of a publisher: its other holders, or whoever runs the index.
pub fn listed(listing: Listing, what: &str, directory: &str) -> String {
    let Listing { signed, threshold } = listing;
    if listing.is_whole() {
        let word = text::word(directory);
        return format!("  {what} in {directory}; whoever runs the index signs it in: agentry index sign {word}\n");
    }
    format!(
        "  {what} in {directory} once {threshold} keys have signed its list; so far {signed}: whoever holds another one says the same\n"
    )
}

/// A key that there may be already.
fn kept(home: &Home, name: &str) -> Result<SigningKey> {
    match key::names(home.path()).iter().any(|known| known == name) {
        true => Ok(key::open(home.path(), name)?),
        false => Ok(key::create(home.path(), name)?),
    }
}

fn init(args: &Init) -> Result<()> {
    let home = args.which.home.resolve()?;
    let (root, online) = (kept(&home, &args.which.key)?, kept(&home, &format!("{}-online", args.which.key))?);
    args.which.repository().init(&root, &online, args.days.into())?;
    screen::print(&format!("{}\n", PublicKey::of(&root)))
}

/// Signs what is the newest; what the root signs as well, if that ends soon and the root's key is here.
fn sign(args: &Sign, home: &Home) -> Result<()> {
    let (which, repository) = (&args.which, args.which.repository());
    if key::names(home.path()).contains(&which.key) && repository.renew(&key::open(home.path(), &which.key)?)? {
        which.done("the index's own keys and its list of publishers are in force for another year", false);
    }
    let signed = repository.sign(&which.online(home)?, args.days.into())?;
    which.done(&format!("signed for {} days", args.days), false);
    for publisher in signed.unsigned {
        let publisher = text::line(&publisher);
        screen::tell(&format!(
            "  {publisher}: its list is signed by another key than the index knows, and believed by nobody\n"
        ));
    }
    for publisher in signed.waiting {
        let publisher = text::line(&publisher);
        screen::tell(&format!(
            "  {publisher}: its newest list waits for more of its keys, and the one before it stands\n"
        ));
    }
    for PassedOver { publisher, file, why, is_named } in signed.passed_over {
        let publisher = text::line(&publisher);
        let what = match is_named {
            true => format!("nobody sees what {publisher} lists before it is put back, or {publisher} lists anew"),
            false => "the list before it stands".to_owned(),
        };
        let place = which.directory.join(file).display().to_string();
        screen::warn(&text::ours(&format!("{publisher}: {place} is passed over, {what}: {}", why.message)));
    }
    for (name, end) in signed.ends_soon {
        let (name, end) = (text::line(&name), text::line(&end));
        let renew = match name.as_str() {
            "root" | "targets" => format!("sign where keys/{}.key lies", text::line(&which.key)),
            publisher => format!("{publisher} lists its newest version once more: agentry publish FILE --index DIR"),
        };
        screen::tell(&format!("{}: {name}.json ends {end}: {renew}\n", styled(HINT, "warning")));
    }
    Ok(())
}

fn rotate(args: &Rotate) -> Result<()> {
    let home = args.which.home.existing()?;
    if args.to == args.which.key {
        let message = format!("{} is the key that the index has", text::line(&args.to));
        return Err(Fault::usage(message, "name another one, which is made: --to NAME").into());
    }
    let old = key::open(home.path(), &args.which.key)?;
    let online = format!("{}-online", args.which.key);
    let old_online = key::names(home.path()).contains(&online).then(|| args.which.online(&home)).transpose()?;
    let (root, online) = (kept(&home, &args.to)?, kept(&home, &format!("{}-online", args.to))?);
    args.which.repository().rotate((&old, old_online.as_ref()), (&root, &online), DAYS.into())?;
    args.which.done(&format!("the index has new keys: --key {} from now on", args.to), false);
    screen::print(&format!("{}\n", PublicKey::of(&root)))
}

//! `agentry approver`: who may answer for agents. A secret is shown once, when it is made.

use std::process::ExitCode;

use agentry_runtime::approvals::{Enrolled, Roster};
use anyhow::{Context, Result, bail};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BOLD, HINT, styled, text};

/// Enrols, lists and removes people who answer for agents
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Enrols somebody: their authenticator app reads the QR code, and then shows a code for each answer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry approver add alice --group ops")]
struct Add {
    /// Lowercase letters, digits and `-`
    #[arg(value_name = "NAME")]
    name: String,
    /// A group that policy asks, such as ops; as often as there are groups
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lists who is enrolled
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry approver list --json")]
struct List {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Takes somebody off the list; their codes are good for nothing then
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry approver remove alice")]
struct Remove {
    /// Who
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Does what the second verb says.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::Add(Add { name, groups, home }) => {
            let home = home.resolve()?;
            std::fs::create_dir_all(home.path())
                .with_context(|| format!("cannot make the home {}", home.path().display()))?;
            if let Some(group) = groups.iter().find_map(|group| group.strip_prefix("group:")) {
                let group = text::line(group);
                bail!("`group:{group}` is how policy names a group\nhint: leave `group:` out here: --group {group}");
            }
            let enrolled = Roster::of(home.path()).add(&name, &groups)?;
            screen::print(&picture(&enrolled)?)?;
            screen::page(&card(&enrolled))?;
        }
        Verb::List(List { home, json }) => list(&Roster::of(home.existing()?.path()), json)?,
        Verb::Remove(Remove { name, home }) => {
            Roster::of(home.existing()?.path()).remove(&name)?;
            screen::tell(&format!("removed {}\n", text::line(&name)));
        }
    }
    Ok(Exit::Done.into())
}

/// What an app needs to know the secret: a picture, and the same as an address.
fn picture(enrolled: &Enrolled) -> Result<String> {
    let code = QrCode::new(enrolled.uri()).context("cannot draw the QR code")?;
    // Light on dark, as most terminals are.
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    // An address is copied whole: the terminal alone may break it.
    Ok(format!("{picture}\n{}\n", text::line(&enrolled.uri())))
}

/// The same for apps that are typed into, in groups as people type them.
fn card(enrolled: &Enrolled) -> String {
    let uri = enrolled.uri();
    let secret: Vec<char> =
        uri.split(['?', '&']).filter_map(|part| part.strip_prefix("secret=")).flat_map(str::chars).collect();
    let key = secret.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ");
    let hint = "scan it with an authenticator app, or give one the address or the key (time-based); none of them is shown again";
    format!("key {key}\n{}: {hint}\n", styled(HINT, "hint"))
}

fn list(roster: &Roster, json: bool) -> Result<()> {
    let people = roster.names()?.iter().map(|name| roster.find(name)).collect::<Result<Vec<_>, _>>()?;
    if json {
        let people: Vec<_> = people.iter().map(|one| json!({"name": one.name, "groups": one.groups})).collect();
        return screen::print_json(&people);
    }
    if people.is_empty() {
        screen::tell("nobody is enrolled\n");
    }
    for one in &people {
        screen::print(&format!("{}  {}\n", styled(BOLD, &one.name), text::line(&one.groups.join(", "))))?;
    }
    Ok(())
}

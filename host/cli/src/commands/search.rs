//! `agentry search`: what the indexes of this home list. It fetches no package.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use agentry_kernel::text::nearest;
use agentry_packages::index::listed::{Entry, Listed};
use agentry_packages::index::metadata::{Listing, Text};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::packages::{Indexes, left_out};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Table, left};
use crate::screen::{self, DIM, HINT, styled, text};

/// Lists packages of the indexes whose name, description or use has these words
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry search
  agentry search bookkeeper --json")]
pub struct Args {
    /// Words that all must be in it; none lists all
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// The index to look in, by its name in packages.toml
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let words: Arc<[String]> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let (found, others, left_out) = threads.block_on(async {
        let indexes = Indexes::of(&home, args.index.as_deref())?;
        let (mut found, mut others, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for index in indexes.read_some(&home).await? {
            let words = Arc::clone(&words);
            let (met, why) = index.picked_of_believed(move |entry| Some(Met::by(entry, &words))).await?;
            left_out.extend(why);
            for one in met {
                match one {
                    Met::Found(listed) => found.push(listed),
                    Met::Other(name) => others.push(name),
                }
            }
        }
        anyhow::Ok((found, others, left_out))
    })?;
    left_out::tell(&left_out);
    let mut newest: BTreeMap<(&str, &str), &Listed> = BTreeMap::new();
    for one in &found {
        let place = (one.listing.name.as_str(), one.index.as_str());
        if newest.get(&place).is_none_or(|before| before.listing.seq < one.listing.seq) {
            newest.insert(place, one);
        }
    }
    if args.json {
        screen::print_json(&newest.values().map(|one| as_json(one)).collect::<Vec<_>>())?;
    } else if newest.is_empty() {
        screen::tell("nothing of the kind is listed\n");
        if let Some(near) = near(&others, &words) {
            screen::tell(&format!("{}: did you mean `{}`?\n", styled(HINT, "hint"), text::line(&near)));
        }
    } else {
        screen::page(&table(newest.into_values()))?;
    }
    Ok(Exit::Done.into())
}

/// A version that is listed, as a search meets it: of those that nobody looks for only the name is kept, for whoever mistyped it.
enum Met {
    Found(Box<Listed>),
    Other(Box<str>),
}

impl Met {
    fn by(entry: &Entry<'_>, words: &[String]) -> Self {
        let listing = entry.listing;
        let found = (listing.yanked.is_none() && has_all(listing, words)).then(|| entry.listed()).flatten();
        found.map_or_else(|| Self::Other((*listing.name).into()), |listed| Self::Found(Box::new(listed)))
    }
}

/// A package that is nearly called as one of these words.
fn near(all: &[Box<str>], words: &[String]) -> Option<String> {
    let names = || all.iter().map(|name| &**name);
    let called = |name: &str, part: &str| name == part || name.split(':').any(|of| of == part);
    let parts = || names().flat_map(|name| name.split(':').chain([name]));
    let part = words.iter().find_map(|word| nearest(word, parts()))?;
    names().find(|name| called(name, part)).map(str::to_owned)
}

fn has_all(listing: &Listing<Text<'_>>, words: &[String]) -> bool {
    let mut whole = String::with_capacity(listing.name.len() + listing.description.len() + 64);
    let provides = listing.provides.iter().map(|word| &**word);
    for text in [&*listing.name, &*listing.description].into_iter().chain(provides) {
        whole.extend([text, " "]);
    }
    // Letters of ASCII are lowered in place; others may take more bytes, and so a text of their own.
    if whole.is_ascii() {
        whole.make_ascii_lowercase();
    } else {
        whole = whole.to_lowercase();
    }
    words.iter().all(|word| whole.contains(word))
}

fn table<'a>(all: impl Iterator<Item = &'a Listed>) -> String {
    let mut table = Table::new([left("package"), left("version"), left("asks for").goes(1), left("index").goes(2)]);
    for one in all {
        let listing = &one.listing;
        let cells = [
            text::cut(&listing.name, 48).into(),
            text::cut(&listing.version, 20).into(),
            text::cut(&listing.wants.join(", "), 40).into(),
            text::cut(&one.index, 20).into(),
        ];
        let below = match listing.description.as_str() {
            "" => String::new(),
            said => format!("  {}\n", styled(DIM, text::cut(said, 100))),
        };
        table.row(cells, below);
    }
    table.show(screen::fold::columns())
}

fn as_json(one: &Listed) -> Value {
    let listing = &one.listing;
    json!({
        "name": listing.name,
        "version": listing.version,
        "seq": listing.seq,
        "description": listing.description,
        "provides": listing.provides,
        "wants": listing.wants,
        "index": one.index,
        "key": one.holders.name().to_string(),
        "digest": one.digest.to_string(),
        "bytes": one.bytes,
    })
}

//! Keeps a calendar of `.ics` files, and enters what other agents ask for by letter. It asks no model: times are compared by code.

mod entry;

use std::time::Duration;

use agentry::agents::{self, Letter};
use agentry::files::{Root, root};
use agentry::memory::namespace;
use agentry::{Context, Error, Failure, log};
use serde::{Deserialize, Serialize};

use entry::Entry;

/// Where other agents see what is planned.
const AGENDA: &str = "team/agenda";

/// Letters of one run: whoever writes more waits for the next one.
const LETTERS_MAX: usize = 100;

/// Entries that are looked through.
const ENTRIES_MAX: usize = 5_000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    free: Option<Span>,
    list: Option<Days>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    start: String,
    minutes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    from: String,
    to: String,
}

/// What a letter asks for.
#[derive(Deserialize)]
struct Wanted {
    title: String,
    start: String,
    minutes: u32,
    #[serde(default)]
    organizer: String,
    /// The writer's own: it comes back as it was.
    #[serde(default)]
    about: serde_json::Value,
}

/// What the writer is told.
#[derive(Serialize)]
struct Told {
    entered: bool,
    uid: Option<String>,
    /// What is in the way, or what makes no sense.
    conflict: Option<String>,
    title: String,
    start: String,
    about: serde_json::Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output {
    Letters { entered: usize, declined: usize },
    Free { free: bool, conflict: Option<String> },
    List { entries: Vec<Entry> },
}

#[agentry::agent]
async fn run(input: Option<Input>) -> Result<Output, Failure> {
    let calendar = root("calendar");
    match input.unwrap_or_default() {
        Input { free: Some(span), list: None } => free(&calendar, &span),
        Input { free: None, list: Some(days) } => list(&calendar, &days),
        Input { free: None, list: None } => letters(&calendar).await,
        Input { .. } => Err(Failure::new("input: `free` or `list`, not both")),
    }
}

fn free(calendar: &Root, span: &Span) -> Result<Output, Failure> {
    let wanted = Entry::new("", &span.start, span.minutes, "").map_err(Failure::new)?;
    let conflict = entries(calendar)?.into_iter().find(|other| other.overlaps(&wanted)).map(|other| other.title);
    Ok(Output::Free { free: conflict.is_none(), conflict })
}

fn list(calendar: &Root, days: &Days) -> Result<Output, Failure> {
    let (from, to) = (entry::day(&days.from).map_err(Failure::new)?, entry::day(&days.to).map_err(Failure::new)?);
    let mut entries = entries(calendar)?;
    entries.retain(|entry| (from..=to).contains(&entry.start.date()));
    Ok(Output::List { entries })
}

async fn letters(calendar: &Root) -> Result<Output, Failure> {
    let (mut entered, mut declined) = (0, 0);
    for _ in 0..LETTERS_MAX {
        let letter = agents::receive(Some(Duration::ZERO)).await.context("taking a letter")?;
        let Some(letter) = letter else { break };
        let told = answer(calendar, &letter)?;
        if told.entered {
            entered += 1
        } else {
            declined += 1
        }
        let body = serde_json::to_string(&told).map_err(|error| Failure::new(error.to_string()))?;
        match agents::reply(&letter.id, &body) {
            Ok(()) => {}
            // It is entered all the same; whoever asked takes no answers.
            Err(error) => log::warn(format!("{} was not answered: {error}", letter.id)),
        }
    }
    Ok(Output::Letters { entered, declined })
}

/// Enters what a letter asks for, if it makes sense and nothing is in the way.
fn answer(calendar: &Root, letter: &Letter) -> Result<Told, Failure> {
    let no = |conflict: String, wanted: Option<Wanted>| {
        let (title, start, about) = wanted.map(|wanted| (wanted.title, wanted.start, wanted.about)).unwrap_or_default();
        Told { entered: false, uid: None, conflict: Some(conflict), title, start, about }
    };
    let wanted: Wanted = match serde_json::from_str(&letter.body_json) {
        Ok(wanted) => wanted,
        Err(error) => return Ok(no(format!("the letter asks for no entry: {error}"), None)),
    };
    let entry = match Entry::new(&wanted.title, &wanted.start, wanted.minutes, &wanted.organizer) {
        Ok(entry) => entry,
        Err(why) => return Ok(no(why, Some(wanted))),
    };
    if let Some(other) = entries(calendar)?.into_iter().find(|other| other.overlaps(&entry)) {
        return Ok(no(other.title, Some(wanted)));
    }
    let uid = letter.id.replace('/', "-");
    calendar.write(&format!("{uid}.ics"), entry.to_ics(&uid)).context("entering it")?;
    namespace(AGENDA).put_json(&format!("{} {uid}", wanted.start), &entry).context("listing it in the agenda")?;
    log::info(format!("entered {uid}"));
    let Wanted { title, start, about, .. } = wanted;
    Ok(Told { entered: true, uid: Some(uid), conflict: None, title, start, about })
}

/// All that is entered; a file that is no calendar is said in the log.
fn entries(calendar: &Root) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for file in calendar.walk("").take(ENTRIES_MAX) {
        let file = file.context("listing the calendar")?;
        if !file.path.ends_with(".ics") {
            continue;
        }
        match calendar.read_to_string(&file.path) {
            Ok(text) => entries.extend(entry::read(&text)),
            Err(Error::Invalid(why)) => log::warn(format!("skipped: {why}")),
            Err(Error::NotFound(_)) => log::warn(format!("{} is gone", file.path)),
            Err(error) => return Err(Failure::from(error).context(format!("reading {}", file.path))),
        }
    }
    entries.sort_by(|a, b| (a.start, &a.title).cmp(&(b.start, &b.title)));
    Ok(entries)
}

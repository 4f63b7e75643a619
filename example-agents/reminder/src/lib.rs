//! Remembers things to do and lists what is due. A model only phrases; dates and lists are the code's.

mod dates;

use agentry::budget::ResourceKind;
use agentry::llm::Request;
use agentry::memory::{Namespace, namespace};
use agentry::{Context, Error, Failure, log, timers};
use serde::{Deserialize, Serialize};

use dates::Day;

/// Where everything is kept; the entry of the counter lives beside the entries.
const ENTRIES: &str = "agent/reminder/entries";
const COUNTER: &str = "agent/reminder/counter";

/// How often a number is asked for again when another run took it.
const NUMBER_TRIES: u32 = 16;

/// What a person says is one sentence, not a document.
const SAY_BYTES_MAX: usize = 2_000;

/// Things that are put into a prompt; a small model loses its way in more.
const PHRASED_MAX: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(untagged, rename_all = "snake_case", deny_unknown_fields)]
enum Input {
    Say {
        say: String,
    },
    Due {
        due: Until,
        #[serde(default = "yes")]
        phrase: bool,
    },
    Done {
        done: u64,
    },
}

/// `true` for today, a day, or `"all"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Until {
    Today(bool),
    Day(String),
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Output {
    Remembered { remembered: Reminder },
    Due { until: Option<String>, due: Vec<Reminder>, text: String },
    Done { done: u64 },
}

/// A thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reminder {
    id: u64,
    what: String,
    /// The day, as `2026-12-01`; none for whenever.
    due: Option<String>,
}

#[agentry::agent]
async fn run(input: serde_json::Value) -> Result<Output, Failure> {
    let input: Input = serde_json::from_value(input).map_err(|_| {
        Failure::new("input: say one of {\"say\": TEXT}, {\"due\": true or DAY or \"all\"}, {\"done\": ID}")
    })?;
    match input {
        Input::Say { say } => remember(&say).map(|remembered| Output::Remembered { remembered }),
        Input::Due { due, phrase } => list(&due, phrase).await,
        Input::Done { done } => forget(done),
    }
}

fn remember(say: &str) -> Result<Reminder, Failure> {
    if say.len() > SAY_BYTES_MAX {
        return Err(Failure::new(format!("that is longer than {SAY_BYTES_MAX} bytes: say it in a sentence")));
    }
    let (what, due) = understand(say, Day::of(timers::now()));
    if what.is_empty() {
        return Err(Failure::new("there is nothing to remember in that: `remember to call home, due tomorrow`"));
    }
    let reminder = Reminder { id: next_number()?, what, due: due.map(Day::iso) };
    entries().put_json(&key(reminder.id), &reminder).context("remembering")?;
    log::info(format!("remembered number {}", reminder.id));
    Ok(reminder)
}

/// What is to be done, and when, in a sentence.
fn understand(say: &str, today: Day) -> (String, Option<Day>) {
    let words: Vec<&str> = say.split_whitespace().collect();
    let found = dates::find(&words, today);
    let mut kept: Vec<&str> = words.clone();
    if let Some((_, range)) = &found {
        kept.drain(range.clone());
        // The word that led to the day has nothing to lead to any more.
        while kept.get(range.start.wrapping_sub(1)).is_some_and(|word| is_lead(word)) && range.start == kept.len() {
            kept.pop();
        }
    }
    let text = kept.join(" ");
    // With a space, so that the polite words alone are found to leave nothing.
    let lower = text.to_lowercase() + " ";
    let polite =
        ["please remember to ", "remember to ", "remember that ", "remember ", "remind me to ", "remind me of "];
    let start = polite.iter().find(|start| lower.starts_with(**start)).map_or(0, |start| start.len());
    let what = text.get(start..).unwrap_or_default().trim_matches([' ', ',', ';', '.']);
    (what.to_owned(), found.map(|(day, _)| day))
}

fn is_lead(word: &str) -> bool {
    let word = word.trim_matches(|letter: char| !letter.is_alphabetic()).to_lowercase();
    ["due", "by", "on", "until", "before", "at", ""].contains(&word.as_str())
}

async fn list(until: &Until, phrase: bool) -> Result<Output, Failure> {
    let until = limit(until)?;
    let mut due = Vec::new();
    for entry in entries().list("") {
        let reminder: Reminder = entry.context("listing")?.json()?;
        if is_due(&reminder, until) {
            due.push(reminder);
        }
    }
    due.sort_by(|a, b| (a.due.is_none(), &a.due, a.id).cmp(&(b.due.is_none(), &b.due, b.id)));
    let text = match due.is_empty() {
        true => "Nothing is due.".to_owned(),
        false if phrase => phrased(&due).await,
        false => plain(&due),
    };
    Ok(Output::Due { until: until.map(Day::iso), due, text })
}

/// The last day that counts; none for all days.
fn limit(until: &Until) -> Result<Option<Day>, Failure> {
    match until {
        Until::Today(true) => Ok(Some(Day::of(timers::now()))),
        Until::Today(false) => Ok(None),
        Until::Day(text) if text == "all" => Ok(None),
        Until::Day(text) => match dates::iso(text) {
            Some(day) => Ok(Some(day)),
            None => Err(Failure::new(format!("input, field `due`: `{text}` is no day; write it as 2026-12-01"))),
        },
    }
}

fn is_due(reminder: &Reminder, until: Option<Day>) -> bool {
    let Some(until) = until else { return true };
    reminder.due.as_deref().and_then(dates::iso).is_some_and(|day| day <= until)
}

fn plain(due: &[Reminder]) -> String {
    let lines = due.iter().map(|reminder| match &reminder.due {
        Some(day) => format!("{}. {} (due {day})", reminder.id, reminder.what),
        None => format!("{}. {}", reminder.id, reminder.what),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The list, and a model's sentence above it where there is one to be had: the list never depends on it.
async fn phrased(due: &[Reminder]) -> String {
    let list = plain(due);
    if agentry::budget::left(ResourceKind::Tokens).is_ok_and(|left| left == Some(0)) {
        return list;
    }
    let some = plain(&due[..due.len().min(PHRASED_MAX)]);
    let request = Request::new()
        .system("You write one short, friendly sentence. No lists.")
        .user(format!("Tell me in one sentence what I have to do:\n{some}"))
        .max_tokens(60)
        .temperature(0.2);
    match request.complete().await {
        Ok(response) => match first_sentence(&response.text()) {
            Some(sentence) => format!("{sentence}\n\n{list}"),
            None => list,
        },
        Err(failure) => {
            log::warn(format!("the list goes without a sentence: {}", failure.why));
            list
        }
    }
}

fn first_sentence(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let end = line.find(['.', '!']).map_or(line.len(), |end| end + 1);
    Some(line[..end].to_owned())
}

fn forget(id: u64) -> Result<Output, Failure> {
    match entries().delete(&key(id)) {
        Ok(()) => Ok(Output::Done { done: id }),
        Err(Error::NotFound(_)) => Err(Failure::new(format!("there is no reminder {id}"))),
        Err(error) => Err(Failure::from(error).context(format!("forgetting {id}"))),
    }
}

/// A number that no other run has: the counter is written only over the version that was read.
fn next_number() -> Result<u64, Failure> {
    let counter = namespace(COUNTER);
    for _ in 0..NUMBER_TRIES {
        let entry = counter.get("last").context("counting")?;
        let (last, version): (u64, u64) = match &entry {
            Some(entry) => (entry.json()?, entry.version),
            None => (0, 0),
        };
        match counter.replace_json("last", &(last + 1), version) {
            Ok(_) => return Ok(last + 1),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(Failure::from(error).context("counting")),
        }
    }
    Err(Failure::new("too many runs count at once: try again"))
}

fn entries() -> Namespace {
    namespace(ENTRIES)
}

/// Padded, so that keys are in the order of numbers.
fn key(id: u64) -> String {
    format!("{id:010}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(say: &str, what: &str, due: Option<&str>) {
        let today = dates::iso("2026-11-22").expect("a day");
        let (understood, day) = understand(say, today);
        assert_eq!((understood.as_str(), day.map(Day::iso).as_deref()), (what, due), "{say}");
    }

    #[test]
    fn a_sentence_becomes_a_thing_and_a_day() {
        check("remember to renew the passport, due 2026-12-01", "renew the passport", Some("2026-12-01"));
        check("Remind me to call home tomorrow.", "call home", Some("2026-11-23"));
        check("in 3 days water the plants", "water the plants", Some("2026-11-25"));
        check("buy milk", "buy milk", None);
        check("remember to", "", None);
        check("due tomorrow", "", Some("2026-11-23"));
    }

    #[test]
    fn a_sentence_of_a_model_is_cut_after_the_first() {
        assert_eq!(first_sentence("\nCall home today! And more.").as_deref(), Some("Call home today!"));
        assert_eq!(first_sentence("  \n"), None);
    }

    #[test]
    fn input_is_one_of_three_things() {
        assert!(matches!(
            serde_json::from_str(r#"{"due":true}"#),
            Ok(Input::Due { due: Until::Today(true), phrase: true })
        ));
        assert!(matches!(serde_json::from_str(r#"{"done":3}"#), Ok(Input::Done { done: 3 })));
        assert!(serde_json::from_str::<Input>(r#"{"say":"a","done":3}"#).is_err());
    }
}

//! Reads a Maildir and sees to what each mail wants: a meeting is asked of the agent that keeps a calendar, a question of one that does
//! research, and what they say becomes the draft of a reply. It knows neither of them: it finds them by what they provide.

mod draft;
mod message;
mod wish;

use std::time::Duration;

use agentry::agents::{self, Letter};
use agentry::files::{Root, root};
use agentry::memory::{Namespace, namespace};
use agentry::{Context, Error, Failure, log};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use message::Message;
use wish::Wish;

/// Mails of one run: the others are seen to in the next one.
const MAILS_MAX: usize = 20;

/// Letters of one run.
const LETTERS_MAX: usize = 100;

const MAIL_BYTES_MAX: u64 = 1024 * 1024;

/// What was done about a mail.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    /// A letter was written, and its answer makes the draft.
    Asked,
    Drafted,
    Nothing,
}

#[derive(Default, Serialize)]
struct Output {
    /// Letters to the calendar.
    asked: Vec<String>,
    /// Drafts of replies.
    drafts: Vec<String>,
    /// Mails that want nothing.
    left: usize,
}

#[agentry::agent]
async fn run(_input: Value) -> Result<Output, Failure> {
    let (mailbox, seen) = (root("mail"), namespace("agent/mail/seen"));
    let mut output = Output::default();
    answers(&mailbox, &seen, &mut output).await?;
    for path in unseen(&mailbox, &seen)? {
        let bytes = mailbox.read(&path).context(format!("reading {path}"))?;
        let Some(mail) = message::read(&bytes) else {
            log::warn(format!("{path} is no mail that could be answered"));
            seen.put_json(&key(&path), &Done::Nothing).context("remembering")?;
            output.left += 1;
            continue;
        };
        let done = see_to(&mailbox, &path, &mail, &mut output).await?;
        seen.put_json(&key(&path), &done).context("remembering")?;
    }
    Ok(output)
}

/// Mails that nothing was done about, oldest name first.
fn unseen(mailbox: &Root, seen: &Namespace) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    for folder in ["new", "cur"] {
        for file in
            mailbox.list(folder).or_else(|error| if error.is_not_found() { Ok(Vec::new()) } else { Err(error) })?
        {
            let known = seen.get(&key(&file.path)).context("looking what was seen")?.is_some();
            if !file.directory && !known && file.size <= MAIL_BYTES_MAX && paths.len() < MAILS_MAX {
                paths.push(file.path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

async fn see_to(mailbox: &Root, path: &str, mail: &Message, output: &mut Output) -> Result<Done, Failure> {
    match wish::of(mail).await {
        Wish::Meeting { title, start, minutes } => {
            let wanted = json!({
                "title": title, "start": start, "minutes": minutes, "organizer": mail.from, "about": {"mail": path},
            });
            meeting(mailbox, mail, &wanted, output).await
        }
        Wish::Question(question) => {
            let answer = ask_research(&question).await?;
            output.drafts.push(draft::write(mailbox, mail, &answer)?);
            Ok(Done::Drafted)
        }
        Wish::Other => {
            output.left += 1;
            Ok(Done::Nothing)
        }
    }
}

/// Asks for a free time first, which costs the calendar nothing, then for an entry by letter: that one is the calendar's own to make.
async fn meeting(mailbox: &Root, mail: &Message, wanted: &Value, output: &mut Output) -> Result<Done, Failure> {
    let Some(calendar) = provider("calendar")? else {
        return Err(Failure::new("no agent provides a calendar: name one in agents.toml and grant it"));
    };
    let span = json!({"free": {"start": wanted["start"], "minutes": wanted["minutes"]}});
    let free = agents::call(&calendar, &span.to_string(), &[]).await;
    if let Ok(free) = free.as_deref().map(serde_json::from_str::<Value>)
        && let Ok(free) = free
        && free["free"] == false
    {
        let text = format!(
            "At that time I have {}. Could we find another one?",
            free["conflict"].as_str().unwrap_or("something")
        );
        output.drafts.push(draft::write(mailbox, mail, &text)?);
        return Ok(Done::Drafted);
    }
    let letter = agents::send(&calendar, "a meeting", &wanted.to_string()).context("asking for the meeting")?;
    output.asked.push(letter);
    Ok(Done::Asked)
}

/// Drafts replies out of what the calendar answered.
async fn answers(mailbox: &Root, seen: &Namespace, output: &mut Output) -> Result<(), Failure> {
    for _ in 0..LETTERS_MAX {
        let letter = agents::receive(Some(Duration::ZERO)).await.context("taking a letter")?;
        let Some(letter) = letter else { return Ok(()) };
        let Some((path, text)) = reply_to(&letter) else {
            log::warn(format!("letter {} answers nothing that was asked", letter.id));
            continue;
        };
        let bytes = match mailbox.read(&path) {
            Ok(bytes) => bytes,
            Err(Error::NotFound(_)) => continue,
            Err(error) => return Err(Failure::from(error).context(format!("reading {path}"))),
        };
        if let Some(mail) = message::read(&bytes) {
            output.drafts.push(draft::write(mailbox, &mail, &text)?);
            seen.put_json(&key(&path), &Done::Drafted).context("remembering")?;
        }
    }
    Ok(())
}

/// The mail that an answer of the calendar is about, and what to reply.
fn reply_to(letter: &Letter) -> Option<(String, String)> {
    let said: Value = serde_json::from_str(&letter.body_json).ok()?;
    let path = said["about"]["mail"].as_str()?.to_owned();
    let start = said["start"].as_str().unwrap_or_default().replace('T', " at ");
    let text = if said["entered"] == true {
        format!("Yes, gladly: {start} is in my calendar.")
    } else {
        format!("I am afraid not: {}.", said["conflict"].as_str().unwrap_or("that does not fit"))
    };
    Some((path, text))
}

async fn ask_research(question: &str) -> Result<String, Failure> {
    let Some(researcher) = provider("research")? else {
        return Ok("I do not know, and nobody here looks it up.".into());
    };
    let said = agents::call(&researcher, &json!({"question": question}).to_string(), &[]).await;
    let said = said.context("asking the researcher")?;
    let said: Value = serde_json::from_str(&said).map_err(|error| Failure::new(error.to_string()))?;
    let citations = said["citations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines =
        citations.iter().map(|from| format!("\n  {} line {}", from["file"].as_str().unwrap_or("?"), from["line"]));
    Ok(format!("{}\n{}", said["answer"].as_str().unwrap_or_default(), lines.collect::<String>()))
}

/// The first agent that provides this.
fn provider(what: &str) -> Result<Option<String>, Failure> {
    Ok(agents::find(what).context(format!("looking for {what}"))?.into_iter().next().map(|agent| agent.name))
}

/// The part of a mail's path that stays when a mail program marks it as read.
fn key(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split(':').next().unwrap_or(name).to_owned()
}

//! What several guests of the tests have in common: they do what they are told, one step after the other.

use std::time::Duration;

use agentry::agents::{self, Share};
use agentry::files::root;
use agentry::futures::future::{Either, select};
use agentry::memory::namespace;
use agentry::types::ResourceKind;
use agentry::{Error, Failure, timers, tools};

/// Does these steps and tells what each gave.
///
/// # Errors
/// If there is no such step.
pub async fn follow(steps: &[Vec<String>]) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for step in steps {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        let said = match one(&words) {
            Some(said) => said,
            None => other(&words).await?,
        };
        told.push(said);
    }
    Ok(told)
}

/// What is answered where the agent stands.
fn one(words: &[&str]) -> Option<String> {
    Some(match words {
        ["get", place, key] => tell(namespace(*place).get(key).map(|entry| match entry {
            Some(entry) => format!("{:?} {:?}", entry.text().unwrap_or_default(), entry.labels),
            None => "nothing".into(),
        })),
        ["put", place, key, text] => tell(namespace(*place).put_text(key, *text).map(|version| version.to_string())),
        ["read", place, path] => tell(root(*place).read_to_string(path)),
        ["write", place, path, text] => tell(root(*place).write(path, text).map(|()| "written".into())),
        ["fill", place, path, bytes] => match bytes.parse() {
            Ok(bytes) => tell(root(*place).write(path, vec![7; bytes]).map(|()| "written".into())),
            Err(_) => "no: a file has no such size".into(),
        },
        ["delete", place, path] => tell(root(*place).delete(path).map(|()| "deleted".into())),
        ["list", place, path] => tell(root(*place).list(path).map(|stats| stats.len().to_string())),
        ["find", provides] => tell(agents::find(provides).map(|found| {
            let names: Vec<_> = found.into_iter().map(|agent| agent.name).collect();
            names.join(", ")
        })),
        ["send", agent, subject, body] => tell(agents::send(agent, subject, body)),
        ["now"] => timers::now().to_string(),
        ["log", line] => {
            agentry::log::info(*line);
            "said".into()
        }
        ["reply", letter, body] => tell(agents::reply(letter, body).map(|()| "answered".into())),
        _ => return None,
    })
}

/// What takes its time.
async fn other(words: &[&str]) -> Result<String, Failure> {
    Ok(match words {
        ["call", tool, arguments] => tell(tools::call_json(tool, arguments).await.map(|answer| format!("{answer:?}"))),
        ["ask", tool, arguments] => tell(tools::call_json(tool, arguments).await.map(|answer| answer.text())),
        ["sleep", ms] => tell(timers::sleep(length(ms)?).await.map(|()| "slept".into())),
        ["agent", agent, input, budget @ ..] => tell(agents::call(agent, input, &shares(budget)?).await),
        ["drop-agent", ms, agent, input] => {
            let child = agents::call(agent, input, &[]);
            match select(child, timers::sleep(length(ms)?)).await {
                Either::Left((answer, _)) => tell(answer),
                Either::Right(_) => "dropped".into(),
            }
        }
        ["answer"] => answer().await,
        ["receive", ms] => letter(agents::receive(Some(length(ms)?)).await),
        ["receive"] => letter(agents::receive(None).await),
        ["drop-receive", ms] => match select(agents::receive(None), timers::sleep(length(ms)?)).await {
            Either::Left((answer, _)) => letter(answer),
            Either::Right(_) => "dropped".into(),
        },
        ["fail", why] => return Err(Failure::new(*why)),
        other => return Err(Failure::new(format!("no such step: {other:?}"))),
    })
}

/// Sends the next letter back to whoever wrote it, and tells of it.
async fn answer() -> String {
    loop {
        // It asks again and again, so that there are many calls in which it can be stopped.
        let received = agents::receive(Some(Duration::from_millis(200))).await;
        let answered = match &received {
            Ok(Some(letter)) => agents::reply(&letter.id, &letter.body_json),
            Ok(None) => continue,
            Err(_) => Ok(()),
        };
        return answered.map_or_else(|error| format!("no: {error}"), |()| letter(received));
    }
}

fn letter(letter: Result<Option<agents::Letter>, Error>) -> String {
    tell(letter.map(|letter| match letter {
        Some(letter) => {
            let labels = letter.labels.join(",");
            format!("{} {} {:?} {} [{labels}]", letter.id, letter.sender, letter.subject, letter.body_json)
        }
        None => "none".into(),
    }))
}

/// `tokens=100`
fn shares(words: &[&str]) -> Result<Vec<Share>, Failure> {
    let share = |word: &&str| {
        let (what, amount) = word.split_once('=')?;
        let what = match what {
            "usd" => ResourceKind::Usd,
            "tokens" => ResourceKind::Tokens,
            "tool-calls" => ResourceKind::ToolCalls,
            "fuel" => ResourceKind::Fuel,
            "wall-time" => ResourceKind::WallTime,
            "storage" => ResourceKind::Storage,
            _ => return None,
        };
        Some(Share { what, amount: amount.parse().ok()? })
    };
    let shares: Option<Vec<_>> = words.iter().map(share).collect();
    shares.ok_or_else(|| Failure::new("a share is written tokens=100"))
}

fn length(ms: &str) -> Result<Duration, Failure> {
    ms.parse().map(Duration::from_millis).map_err(|_| Failure::new("this has no length"))
}

fn tell(result: Result<String, Error>) -> String {
    result.unwrap_or_else(|error| format!("no: {error}"))
}

//! Does the errands that its input lists, one after another, and ends at the first no: to try a policy by hand.

use agentry::files::{Root, root};
use agentry::http::Request;
use agentry::memory::namespace;
use agentry::{Failure, llm, tools};

/// The errands there are; each is a line of words.
const ERRANDS: &str = "read ROOT:PATH, write ROOT:PATH TEXT, list ROOT:PATH, delete ROOT:PATH, \
                       get NAMESPACE KEY, put NAMESPACE KEY TEXT, fetch URL, call TOOL JSON, ask TEXT";

#[agentry::agent]
async fn run(errands: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut done = Vec::new();
    for errand in &errands {
        done.push(go(errand).await.map_err(|failure| failure.context(errand))?);
    }
    Ok(done)
}

/// Does one errand, and tells in a few words what came of it.
async fn go(errand: &str) -> Result<String, Failure> {
    let (verb, rest) = split(errand);
    let (object, text) = split(rest);
    Ok(match verb {
        "read" => in_root(object, Root::read_to_string)?,
        "write" => {
            in_root(object, |root, path| root.write(path, text).map(|()| format!("wrote {} bytes", text.len())))?
        }
        "list" => in_root(object, |root, path| root.list(path).map(|files| format!("{} files", files.len())))?,
        "delete" => in_root(object, |root, path| root.delete(path).map(|()| "deleted".to_owned()))?,
        "get" => {
            let entry = namespace(object).get(text)?;
            entry.and_then(|entry| entry.text().map(str::to_owned)).unwrap_or_else(|| "nothing there".to_owned())
        }
        "put" => {
            let (key, text) = split(text);
            format!("version {}", namespace(object).put_text(key, text)?)
        }
        "fetch" => {
            let answer = Request::get(object).fetch().await?;
            format!("status {}, {} bytes", answer.status, answer.body.len())
        }
        "call" => tools::call_json(object, if text.is_empty() { "{}" } else { text }).await?.text(),
        "ask" => llm::Request::new().user(rest).max_tokens(64).complete().await?.text(),
        other => return Err(Failure::new(format!("there is no errand `{other}`: say {ERRANDS}"))),
    })
}

/// The first word, and all behind it.
fn split(words: &str) -> (&str, &str) {
    let (first, rest) = words.trim().split_once(char::is_whitespace).unwrap_or((words.trim(), ""));
    (first, rest.trim_start())
}

fn in_root<T>(place: &str, act: impl FnOnce(&Root, &str) -> Result<T, agentry::Error>) -> Result<T, Failure> {
    let (name, path) = place.split_once(':').ok_or_else(|| Failure::new("a file is named as ROOT:PATH"))?;
    Ok(act(&root(name), path)?)
}

//! A call as a person reads it, before a yes or in the past: whole and canonical, or not at all. Of a question to a model, texts that are too long
//! are cut, and each cut says so.

mod answer;
mod question;

pub use self::answer::answer;
use agentry_kernel::Call;
use agentry_kernel::digest::Digest;
use agentry_store::content::Content;
use agentry_store::limits::QUESTION_TEXT_MAX_BYTES;

/// The syscall with what it is about, and all that it was given; none if no person could read it to its end.
pub fn call(what: &Call, contents: &[Content]) -> Option<(String, String)> {
    let content = |digest: &Digest| {
        let found = contents.iter().find(|content| content.digest == *digest)?;
        String::from_utf8(found.bytes.clone()).ok()
    };
    let (title, text) = match what {
        Call::ToolsCall { name, arguments, .. } => (format!("tools.call {name}"), content(arguments)?),
        Call::Fetch(fetch) => {
            let secret = fetch.secret.as_ref().map(|handle| format!("\nwith the secret {handle}")).unwrap_or_default();
            let about = format!("{} bytes leave this machine{secret}", fetch.bytes);
            let found = contents.iter().find(|content| content.digest == fetch.content)?;
            (format!("http.fetch {} {}", fetch.method, fetch.url), format!("{}{about}", request(&found.bytes)?))
        }
        Call::FilesWrite { place, content: written, .. } => {
            (format!("files.write {}:{}", place.root, place.path), content(written)?)
        }
        Call::FilesDelete(place) => (format!("files.delete {}:{}", place.root, place.path), String::new()),
        Call::MemoryPut { namespace, key, content: written, .. } => {
            (format!("memory.put {namespace} {key}"), content(written)?)
        }
        Call::LlmComplete(ask) | Call::LlmStream(ask) => {
            (format!("{} {}", what.name(), ask.model), question::text(ask, contents)?)
        }
        Call::MemoryGet { namespace, key } | Call::MemoryDelete { namespace, key } => {
            (format!("{} {namespace} {key}", what.name()), String::new())
        }
        Call::AgentsCall(delegation) => {
            let share =
                delegation.share.iter().map(|(what, amount)| format!("\nwith {} of its own", what.show(*amount)));
            let given: String = share.collect();
            (format!("agents.call {}", delegation.agent), format!("{}{given}", content(&delegation.input)?))
        }
        Call::AgentsSend(post) => (format!("agents.send {}", post.agent), content(&post.content)?),
        Call::AgentsReply { letter, post } => {
            (format!("agents.reply {letter} to {}", post.agent), content(&post.content)?)
        }
        Call::MemoryList { namespace, prefix } => (format!("memory.list {namespace} {prefix}*"), String::new()),
        Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => {
            (format!("{} {}:{}", what.name(), place.root, place.path), String::new())
        }
        Call::HumanNotify { text } => ("human.notify".to_owned(), content(text)?),
        Call::LogEvent { line, .. } => ("log.event".to_owned(), content(line)?),
        // All that there is to these stands in the call.
        Call::LlmModels | Call::LlmEmbed { .. } | Call::LlmCountTokens { .. } | Call::Context(_) => whole(what),
        Call::Memory { .. } | Call::ToolsList | Call::HttpFetch { .. } | Call::Agents(_) => whole(what),
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline | Call::Human(_) | Call::HumanAsk { .. } => {
            whole(what)
        }
        Call::BudgetRemaining | Call::BudgetSplit => whole(what),
        Call::AgentsFind { .. } | Call::AgentsReceive { .. } => whole(what),
    };
    (title.len() + text.len() <= QUESTION_TEXT_MAX_BYTES).then_some((title, text))
}

/// A request to the web: its headers, and its body below them; none if that is no text.
fn request(encoded: &[u8]) -> Option<String> {
    let (headers, body): (Vec<(String, Vec<u8>)>, Vec<u8>) = postcard::from_bytes(encoded).ok()?;
    let header = |(name, value)| Some(format!("{name}: {}\n", String::from_utf8(value).ok()?));
    let headers: String = headers.into_iter().map(header).collect::<Option<_>>()?;
    let body = String::from_utf8(body).ok()?;
    Some(if body.is_empty() { headers } else { format!("{headers}{body}\n") })
}

fn whole(call: &Call) -> (String, String) {
    (call.name().to_owned(), format!("{call:?}"))
}

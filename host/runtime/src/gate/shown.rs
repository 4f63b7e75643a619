//! A call as a person reads it before a yes: whole and canonical, or not at all. Of a question to a model, texts that are too long are
//! cut, and each cut says so.

mod question;

use agentry_kernel::Call;
use agentry_kernel::digest::Digest;
use agentry_store::limits::QUESTION_TEXT_MAX_BYTES;

use crate::gate::CallRequest;

/// The syscall with what it is about, and all that it was given; none if no person could read it to its end.
pub(crate) fn call(asking: &CallRequest) -> Option<(String, String)> {
    let content = |digest: &Digest| {
        let found = asking.contents.iter().find(|content| content.digest == *digest)?;
        String::from_utf8(found.bytes.clone()).ok()
    };
    let (title, text) = match &asking.what {
        Call::ToolsCall { name, arguments, .. } => (format!("tools.call {name}"), content(arguments)?),
        Call::Fetch(fetch) => {
            let secret = fetch.secret.as_ref().map(|handle| format!("\nwith the secret {handle}")).unwrap_or_default();
            let about = format!("{} bytes leave this machine{secret}", fetch.bytes);
            (format!("http.fetch {} {}", fetch.method, fetch.url), format!("{}\n{about}", content(&fetch.content)?))
        }
        Call::FilesWrite { place, content: written, .. } => {
            (format!("files.write {}:{}", place.root, place.path), content(written)?)
        }
        Call::FilesDelete(place) => (format!("files.delete {}:{}", place.root, place.path), String::new()),
        Call::MemoryPut { namespace, key, content: written, .. } => {
            (format!("memory.put {namespace} {key}"), content(written)?)
        }
        Call::LlmComplete(ask) | Call::LlmStream(ask) => {
            (format!("{} {}", asking.what.name(), ask.model), question::text(ask, &asking.contents)?)
        }
        Call::MemoryGet { namespace, key } | Call::MemoryDelete { namespace, key } => {
            (format!("{} {namespace} {key}", asking.what.name()), String::new())
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
            (format!("{} {}:{}", asking.what.name(), place.root, place.path), String::new())
        }
        Call::HumanNotify { text } => ("human.notify".to_owned(), content(text)?),
        Call::LogEvent { line } => ("log.event".to_owned(), content(line)?),
        // All that there is to these stands in the call.
        Call::LlmModels | Call::LlmEmbed { .. } | Call::LlmCountTokens { .. } | Call::Context(_) => whole(&asking.what),
        Call::Memory { .. } | Call::ToolsList | Call::HttpFetch { .. } | Call::Agents(_) => whole(&asking.what),
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline | Call::Human(_) | Call::HumanAsk { .. } => {
            whole(&asking.what)
        }
        Call::BudgetRemaining | Call::BudgetSplit => whole(&asking.what),
        Call::AgentsFind { .. } | Call::AgentsReceive { .. } => whole(&asking.what),
    };
    (title.len() + text.len() <= QUESTION_TEXT_MAX_BYTES).then_some((title, text))
}

fn whole(call: &Call) -> (String, String) {
    (call.name().to_owned(), format!("{call:?}"))
}

//! A call as a person reads it before a yes: whole and canonical, or not at all.

use agentry_kernel::Call;
use agentry_kernel::digest::Digest;

use crate::gate::Asking;
use crate::limits::QUESTION_TEXT_MAX_BYTES;

/// The syscall with what it is about, and all that it was given; none if no person could read it to its end.
pub(crate) fn call(asking: &Asking) -> Option<(String, String)> {
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
            let parts = ask.messages.iter().chain([&ask.settings]).map(content).collect::<Option<Vec<_>>>()?;
            (format!("{} {}", asking.what.name(), ask.model), parts.join("\n"))
        }
        other => (other.name().to_owned(), format!("{other:?}")),
    };
    (title.len() + text.len() <= QUESTION_TEXT_MAX_BYTES).then_some((title, text))
}

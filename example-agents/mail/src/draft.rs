//! A reply as a draft in the Maildir: RFC 5322, built by `mail-builder`. Nothing is sent.

use agentry::files::Root;
use agentry::{Context, Failure};
use mail_builder::MessageBuilder;

use crate::message::Message;

/// Where mail programs look for drafts, in the layout that is called Maildir++.
const DRAFTS: &str = ".Drafts/cur";

/// Writes the draft of a reply; gives its path. The same mail gets the same draft.
pub(crate) fn write(mailbox: &Root, mail: &Message, text: &str) -> Result<String, Failure> {
    let subject = if mail.subject.starts_with("Re: ") { mail.subject.clone() } else { format!("Re: {}", mail.subject) };
    let reply = MessageBuilder::new()
        .message_id(format!("reply-{}", mail.id))
        .date(0_i64)
        .to(mail.from.as_str())
        .subject(subject)
        .in_reply_to(mail.id.as_str())
        .references(mail.id.as_str())
        .text_body(text);
    let bytes = reply.write_to_vec().map_err(|error| Failure::new(error.to_string()))?;
    let name: String = mail.id.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    // `D` marks a draft.
    let path = format!("{DRAFTS}/{name}:2,D");
    mailbox.write(&path, bytes).context("writing the draft")?;
    Ok(path)
}

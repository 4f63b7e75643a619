//! One mail as this agent sees it: RFC 5322 and MIME, read by `mail-parser`.

use mail_parser::{MessageParser, MimeHeaders};

/// What a model is shown and code looks through; the rest of a long mail is seldom what it wants.
const TEXT_MAX_BYTES: usize = 8_000;

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) subject: String,
    /// The day it was sent, as `2026-12-01`.
    pub(crate) date: String,
    pub(crate) text: String,
    /// An invitation that came with it.
    pub(crate) calendar: Option<String>,
}

/// Reads a mail; none if nobody could answer it.
pub(crate) fn read(bytes: &[u8]) -> Option<Message> {
    let mail = MessageParser::default().parse(bytes)?;
    let from = mail.from()?.first()?.address()?.to_owned();
    let text = mail.body_text(0).map(|text| text.into_owned()).unwrap_or_default();
    let invitation = mail.attachments().find(|part| {
        part.content_type().is_some_and(|kind| kind.ctype() == "text" && kind.subtype() == Some("calendar"))
    });
    Some(Message {
        id: mail.message_id().unwrap_or_default().to_owned(),
        from,
        subject: mail.subject().unwrap_or_default().to_owned(),
        date: mail.date().map(|date| date.to_rfc3339().chars().take(10).collect()).unwrap_or_default(),
        text: text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_owned(),
        calendar: invitation.and_then(|part| part.text_contents().map(str::to_owned)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_read_with_its_sender_and_its_text() {
        let mail = read(
            b"From: Ada <ada@example.org>\r\nTo: me@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
            Date: Tue, 1 Dec 2026 09:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\nShall we meet?\r\n",
        )
        .expect("it is a mail");
        assert_eq!((&*mail.from, &*mail.subject, &*mail.id), ("ada@example.org", "Gr\u{fc}\u{df}e", "1@example.org"));
        assert_eq!((&*mail.date, mail.text.trim()), ("2026-12-01", "Shall we meet?"));
    }

    #[test]
    fn what_nobody_sent_is_no_mail() {
        assert_eq!(read(b"\xff\xfe\x00"), None);
        assert_eq!(read(b""), None);
    }
}

//! What a mail wants: a meeting, an answer, or nothing. A model says it, and code checks what it says; without a model, or where it
//! says what makes no sense, code looks for a date with an hour and for a question.

use agentry::llm::Request;
use agentry::log;
use chrono::{NaiveDate, NaiveTime};
use serde::Deserialize;

use crate::message::Message;

/// A meeting that does not say how long it takes.
const MINUTES_DEFAULT: u32 = 60;

const ORDER: &str = "You read one mail and say what its sender wants of us. Answer with JSON only: \
    {\"kind\": \"meeting\", \"title\": TEXT, \"day\": \"YYYY-MM-DD\", \"time\": \"HH:MM\", \"minutes\": NUMBER}, \
    {\"kind\": \"question\", \"question\": TEXT} or {\"kind\": \"other\"}.";

/// What a mail wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Meeting { title: String, start: String, minutes: u32 },
    Question(String),
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Said {
    Meeting { title: String, day: String, time: String, minutes: Option<u32> },
    Question { question: String },
    Other,
}

/// Says what it wants.
pub(crate) async fn of(mail: &Message) -> Wish {
    let request = Request::new()
        .system(ORDER)
        .user(format!("Sent on {}\nSubject: {}\n\n{}", mail.date, mail.subject, mail.text))
        .max_tokens(160)
        .temperature(0.0);
    match request.complete().await {
        Ok(answer) => said(&answer.text()).unwrap_or_else(|| plain(mail)),
        Err(failure) => {
            log::warn(format!("no model says what the mail wants: {}", failure.why));
            plain(mail)
        }
    }
}

/// What a model said, if it makes sense.
fn said(text: &str) -> Option<Wish> {
    let json = text.get(text.find('{')?..=text.rfind('}')?)?;
    Some(match serde_json::from_str(json).ok()? {
        Said::Meeting { title, day, time, minutes } => meeting(title, &day, &time, minutes.unwrap_or(MINUTES_DEFAULT))?,
        Said::Question { question } if !question.trim().is_empty() => Wish::Question(question),
        Said::Question { .. } => return None,
        Said::Other => Wish::Other,
    })
}

fn meeting(title: String, day: &str, time: &str, minutes: u32) -> Option<Wish> {
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let time = NaiveTime::parse_from_str(time, "%H:%M").ok()?;
    let start = day.and_time(time).format("%Y-%m-%dT%H:%M:%S").to_string();
    Some(Wish::Meeting { title, start, minutes })
}

/// What code can tell: a day and an hour near each other are a meeting, a question mark is a question.
fn plain(mail: &Message) -> Wish {
    let words: Vec<&str> =
        mail.text.split_whitespace().map(|word| word.trim_matches([',', '.', '?', '!', '(', ')'])).collect();
    for (place, day) in words.iter().enumerate() {
        let near = words.iter().skip(place + 1).take(3);
        let found = near.filter_map(|time| meeting(mail.subject.clone(), day, time, MINUTES_DEFAULT)).next();
        if let Some(wish) = found {
            return wish;
        }
    }
    let question = mail.text.split_inclusive(['.', '?', '!', '\n']).find(|sentence| sentence.trim_end().ends_with('?'));
    question.map_or(Wish::Other, |question| Wish::Question(question.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(text: &str) -> Message {
        let (id, from, date) = ("1".into(), "ada@example.org".into(), "2026-12-01".into());
        Message { id, from, subject: "Plans".into(), date, text: text.into(), calendar: None }
    }

    #[test]
    fn what_a_model_says_is_checked() {
        let good = r#"Sure: {"kind":"meeting","title":"Plans","day":"2026-12-03","time":"10:00","minutes":30}"#;
        let start = "2026-12-03T10:00:00".to_owned();
        assert_eq!(said(good), Some(Wish::Meeting { title: "Plans".into(), start, minutes: 30 }));
        assert_eq!(said(&good.replace("10:00", "25:00")), None);
        assert_eq!(said(r#"{"kind":"other"}"#), Some(Wish::Other));
        assert_eq!(said("I do not know."), None);
    }

    #[test]
    fn code_finds_a_day_with_an_hour_or_a_question() {
        let wish = plain(&mail("Can we meet on 2026-12-03 at 14:30? I bring cake."));
        assert!(matches!(wish, Wish::Meeting { start, .. } if start == "2026-12-03T14:30:00"));
        assert_eq!(plain(&mail("Hello.\nWho declares war? Thanks.")), Wish::Question("Who declares war?".into()));
        assert_eq!(plain(&mail("Thanks.")), Wish::Other);
    }
}

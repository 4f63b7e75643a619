//! Asks the model with numbered passages and checks what it cites. A number that no passage has is taken out of the answer.

use agentry::llm::{Delta, Request, StopReason};
use agentry::{Failure, log};
use serde::Serialize;

use crate::passages::Passage;
use crate::ranking::{closest, words};

/// The longest answer: a few sentences, and seconds rather than minutes on one core.
const ANSWER_TOKENS: u32 = 120;

/// Words of each passage that the prompt shows.
const SHOWN_WORDS: usize = 80;

/// A line that bears out the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Citation {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) quote: String,
}

/// Asks, takes the answer as it comes, and gives it whole.
pub(crate) async fn ask(question: &str, passages: &[Passage]) -> Result<String, Failure> {
    let mut answer = request(question, passages).stream();
    let mut pieces = 0_u32;
    while let Some(delta) = answer.next().await {
        if matches!(delta, Delta::Text(_)) {
            pieces += 1;
        }
    }
    let response = answer.finish().await?;
    log::debug(format!("the answer came in {pieces} pieces"));
    let text = response.text();
    // A sentence that the limit cut in two says less than nothing.
    Ok(if response.stop == StopReason::MaxOutput { whole_sentences(&text) } else { text.trim().to_owned() })
}

fn request(question: &str, passages: &[Passage]) -> Request {
    let mut prompt = String::new();
    for (index, passage) in passages.iter().enumerate() {
        let text = passage.text();
        let shown: Vec<&str> = text.split(' ').take(SHOWN_WORDS).collect();
        prompt.push_str(&format!("[{}] {}\n\n", index + 1, shown.join(" ")));
    }
    prompt.push_str(&format!("Question: {question}\nAnswer in two sentences from the passages above."));
    Request::new()
        .system(
            "You answer questions from numbered passages, briefly and in your own words. \
             Put the number of the passage behind each statement, like [1].",
        )
        .user(prompt)
        .max_tokens(ANSWER_TOKENS)
        .temperature(0.0)
}

fn whole_sentences(text: &str) -> String {
    let text = text.trim();
    match text.rfind(['.', '!', '?']) {
        Some(end) => text[..=end].to_owned(),
        None => format!("{text} …"),
    }
}

/// The answer with numbers only of passages that there are, and the quoted lines of those; of the passage that shares most
/// with the answer if it cites none.
pub(crate) fn cite(answer: &str, passages: &[Passage], question: &str) -> (String, Vec<Citation>) {
    let (text, mut cited) = checked(answer, passages.len());
    if cited.is_empty() {
        cited.extend(nearest(&text, passages));
    }
    let about = format!("{question} {text}");
    let citations = cited.iter().map(|index| {
        let passage = &passages[*index];
        let (offset, quote) = closest(passage, &about);
        Citation { file: passage.file.clone(), line: passage.line + offset, quote: quote.to_owned() }
    });
    let citations = citations.collect();
    (renumbered(&text, &cited), citations)
}

/// Takes out what is no number of a passage; gives the passages cited, in order and once each.
fn checked(answer: &str, count: usize) -> (String, Vec<usize>) {
    let (mut text, mut cited) = (String::new(), Vec::new());
    let mut rest = answer;
    while let Some(open) = rest.find('[') {
        let Some(length) = rest[open..].find(']') else { break };
        let inside = &rest[open + 1..open + length];
        text.push_str(&rest[..open]);
        match inside.trim().parse::<usize>() {
            Ok(number) if (1..=count).contains(&number) => {
                text.push_str(&format!("[{number}]"));
                if !cited.contains(&(number - 1)) {
                    cited.push(number - 1);
                }
            }
            Ok(_) => text.truncate(text.trim_end().len()),
            Err(_) => text.push_str(&rest[open..=open + length]),
        }
        rest = &rest[open + length + 1..];
    }
    text.push_str(rest);
    (text, cited)
}

/// Numbers of the passages become numbers of the citations, which count from 1 in the order of the answer.
fn renumbered(text: &str, cited: &[usize]) -> String {
    let mut text = text.to_owned();
    // Over a mark that no answer holds, so that a number is not changed twice.
    for (position, index) in cited.iter().enumerate() {
        text = text.replace(&format!("[{}]", index + 1), &format!("[\u{1}{}]", position + 1));
    }
    text.replace('\u{1}', "")
}

fn nearest(answer: &str, passages: &[Passage]) -> Option<usize> {
    let said: Vec<String> = words(answer).collect();
    let shared = |passage: &Passage| words(&passage.text()).filter(|word| said.contains(word)).count();
    (0..passages.len()).max_by_key(|index| (shared(&passages[*index]), std::cmp::Reverse(*index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passages::cut;

    fn passages() -> Vec<Passage> {
        cut("a.txt", "Congress declares war.\n\nThe President commands.\n\nJudges judge.\n")
    }

    #[test]
    fn citations_are_checked_and_numbered_in_the_order_of_the_answer() {
        let (text, citations) = cite("He commands [2]. They declare war [1][7].", &passages(), "who?");
        assert_eq!(text, "He commands [1]. They declare war [2].");
        let lines: Vec<usize> = citations.iter().map(|citation| citation.line).collect();
        assert_eq!(lines, [3, 1]);
    }

    #[test]
    fn an_answer_that_cites_nothing_is_given_the_passage_it_shares_most_with() {
        let (_, citations) = cite("The president is in command.", &passages(), "who commands?");
        assert_eq!(citations[0].quote, "The President commands.");
    }

    #[test]
    fn a_cut_answer_ends_with_its_last_whole_sentence() {
        assert_eq!(whole_sentences("One. Two. Thr"), "One. Two.");
        assert_eq!(whole_sentences("One two"), "One two …");
    }
}

//! Ranks passages by the words they share with a question: BM25, after Robertson and Zaragoza (2009).

use std::collections::HashMap;

use crate::passages::Passage;

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Words that say nothing about what a text is about.
const COMMON: [&str; 58] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "may", "me", "my", "not", "of",
    "on", "or", "our", "say", "says", "shall", "should", "so", "tell", "that", "the", "their", "them", "there", "they",
    "this", "to", "was", "were", "what", "when", "which", "who", "will", "with",
];

/// The best passages first, at most `count`; those that share no word are left out.
pub(crate) fn best(passages: &[Passage], question: &str, count: usize) -> Vec<Passage> {
    let mut wanted: Vec<String> = words(question).collect();
    wanted.sort();
    wanted.dedup();
    let documents: Vec<HashMap<String, usize>> = passages.iter().map(|passage| counts(&passage.text())).collect();
    let lengths: Vec<usize> = documents.iter().map(|words| words.values().sum()).collect();
    let mean = lengths.iter().sum::<usize>() as f64 / documents.len().max(1) as f64;
    let rarities: Vec<f64> = wanted.iter().map(|word| rarity(&documents, word)).collect();
    let score = |index: usize| -> f64 {
        let length = K1 * (1.0 - B + B * lengths[index] as f64 / mean.max(1.0));
        let terms = wanted.iter().zip(&rarities).map(|(word, rarity)| {
            let found = documents[index].get(word).copied().unwrap_or(0) as f64;
            rarity * found * (K1 + 1.0) / (found + length)
        });
        terms.sum()
    };
    let mut ranked: Vec<(f64, usize)> = (0..passages.len()).map(|index| (score(index), index)).collect();
    ranked.retain(|(score, _)| *score > 0.0);
    // Equal scores keep the order of the documents, so that an answer does not change from run to run.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.into_iter().take(count).map(|(_, index)| passages[index].clone()).collect()
}

fn rarity(documents: &[HashMap<String, usize>], word: &str) -> f64 {
    let holding = documents.iter().filter(|words| words.contains_key(word)).count() as f64;
    let all = documents.len() as f64;
    (1.0 + (all - holding + 0.5) / (holding + 0.5)).ln()
}

/// The line of a passage that shares most with a text: what is quoted. Its place in the passage, and the line.
pub(crate) fn closest<'a>(passage: &'a Passage, text: &str) -> (usize, &'a str) {
    let wanted: Vec<String> = words(text).collect();
    let shared = |line: &str| {
        let mut found: Vec<String> = words(line).filter(|word| wanted.contains(word)).collect();
        found.sort();
        found.dedup();
        found.len()
    };
    let lines = passage.lines.iter().enumerate();
    let best = lines.max_by_key(|(index, line)| (shared(line), std::cmp::Reverse(*index)));
    best.map_or((0, ""), |(index, line)| (index, line.trim()))
}

fn counts(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in words(text) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

/// The words that matter, without the endings that English puts on them.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let all = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    all.map(str::to_lowercase).filter(|word| !COMMON.contains(&word.as_str())).map(|word| stem(&word).to_owned())
}

fn stem(word: &str) -> &str {
    let endings = ["ations", "ation", "ings", "ing", "ed", "es", "s", "e"];
    let fits = |ending: &&&str| word.len() >= ending.len() + 3 && word.ends_with(**ending) && !word.ends_with("ss");
    endings.iter().find(fits).map_or(word, |ending| &word[..word.len() - ending.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passages::cut;

    const TEXT: &str =
        "The Congress shall have Power\nTo declare War, grant Letters of Marque.\n\nWe hold these truths.\n";

    #[test]
    fn the_passage_that_shares_rare_words_comes_first() {
        let found = best(&cut("a.txt", TEXT), "Who has the power to declare wars?", 3);
        assert_eq!(found.len(), 1);
        assert_eq!(closest(&found[0], "declaring war"), (1, "To declare War, grant Letters of Marque."));
    }

    #[test]
    fn a_question_of_common_words_finds_nothing() {
        assert!(best(&cut("a.txt", TEXT), "what is it?", 3).is_empty());
        assert!(best(&[], "war", 3).is_empty());
    }
}

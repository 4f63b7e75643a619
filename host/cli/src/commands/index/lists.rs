//! The lists of an index as pages that need no script: all packages, by first letter, by publisher and by what they provide, each in
//! parts that a phone loads at once; and, for whoever has scripts on, one script of ours with one file that it searches.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use agentry_engine::package::digest;
use serde_json::json;

use super::pages::{Shown, escaped, place, said, whole};
use crate::screen::{text, units};

/// Lines of one page.
const LINES_MAX: usize = 100;

/// What of a description is searched: the whole index is loaded at once.
const SEARCHED_MAX_CHARS: usize = 160;

/// The longest word that names a file as it is.
const WORD_MAX_BYTES: usize = 64;

/// The search, for a person.
const SEARCH: &str = "<div id=\"search\" role=\"search\" hidden>\n\
<label for=\"query\">Search by name, publisher, words and what they provide</label>\n\
<input id=\"query\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" aria-controls=\"found\">\n</div>\n\
<p id=\"count\" role=\"status\" aria-live=\"polite\"></p>\n\
<ul id=\"found\" class=\"packages\" role=\"list\" aria-label=\"Found\" hidden></ul>\n";

/// The ways through the lists; files of the first level have a dot, which no publisher's name has.
const WAYS: &str = "<nav class=\"lists\" aria-label=\"Lists\">\
<a href=\"index.html\">All packages</a> <a href=\"letters.html\">By first letter</a> \
<a href=\"publishers.html\">By publisher</a> <a href=\"provides.html\">By what they provide</a></nav>\n";

/// A list of packages under one word.
type Shelf<'a> = (String, Vec<&'a Shown>);

/// Lines under one heading.
struct List<'a> {
    /// The beginning of its files' names.
    stem: &'a str,
    heading: &'a str,
    /// What stands above the lines of the first page.
    above: &'a str,
    lines: Vec<String>,
    /// What the lines are, by their number.
    count: String,
}

/// Each file, with its text.
pub fn all(shown: &[Shown]) -> Vec<(String, String)> {
    let mut files = vec![
        ("search.js".to_owned(), include_str!("search.js").to_owned()),
        ("packages.json".to_owned(), searched(shown)),
    ];
    let count = units::plural(shown.len() as u64, "package");
    let lines = shown.iter().map(line).collect();
    List { stem: "index", heading: "Packages", above: SEARCH, lines, count }.write(&mut files);
    let name =
        |one: &Shown| one.listed.listing.name.split_once(':').map_or_else(String::new, |(_, agent)| agent.to_owned());
    let letters = shelves(shown, |one| name(one).chars().take(1).map(String::from).collect());
    of_shelves(
        &mut files,
        ("letters", "Packages by first letter", "letter"),
        "Packages whose names begin with",
        letters,
    );
    let publishers = shelves(shown, |one| vec![one.listed.publisher.clone()]);
    of_shelves(&mut files, ("publishers", "Packages by publisher", "publisher"), "Packages of", publishers);
    let provides = shelves(shown, |one| one.manifest.provides.clone());
    of_shelves(&mut files, ("provides", "Packages by what they provide", "word"), "Packages that provide", provides);
    files
}

/// Packages under each of their words, in the order of these.
fn shelves(shown: &[Shown], words: impl Fn(&Shown) -> Vec<String>) -> Vec<Shelf<'_>> {
    let mut shelves: BTreeMap<String, Vec<&Shown>> = BTreeMap::new();
    for one in shown {
        let mut words = words(one);
        words.sort();
        words.dedup();
        words.into_iter().for_each(|word| shelves.entry(word).or_default().push(one));
    }
    shelves.into_iter().collect()
}

/// A list of words, and one of packages for each.
fn of_shelves(
    files: &mut Vec<(String, String)>,
    (stem, heading, what): (&str, &str, &str),
    of: &str,
    shelves: Vec<Shelf<'_>>,
) {
    let mut lines = Vec::new();
    for (word, packages) in &shelves {
        let stem = format!("{stem}.{}", file_word(word));
        let count = units::plural(packages.len() as u64, "package");
        lines.push(format!("<li><a href=\"{stem}.html\">{}</a> {count}</li>\n", escaped(word)));
        let heading = format!("{of} {}", text::line(word));
        let lines = packages.iter().map(|one| line(one)).collect();
        List { stem: &stem, heading: &heading, above: "", lines, count }.write(files);
    }
    let count = units::plural(shelves.len() as u64, what);
    List { stem, heading, above: "", lines, count }.write(files);
}

impl List<'_> {
    /// As pages of so many lines.
    fn write(&self, files: &mut Vec<(String, String)>) {
        let parts = self.lines.chunks(LINES_MAX).count().max(1);
        for at in 0..parts {
            let lines = self.lines.chunks(LINES_MAX).nth(at).unwrap_or_default().concat();
            let searches = at == 0 && !self.above.is_empty();
            let heading = escaped(self.heading);
            let way = if parts > 1 { self.way(at, parts) } else { String::new() };
            let of = if parts > 1 { format!(", page {} of {parts}", at + 1) } else { String::new() };
            let above = if searches { self.above } else { "" };
            let body = format!(
                "<h1>{heading}</h1>\n{above}{WAYS}<div id=\"listed\">\n<p>{}{of}.</p>\n\
                 <ul class=\"packages\" role=\"list\">\n{lines}</ul>\n{way}</div>\n",
                self.count
            );
            let title =
                if self.stem == "index" { "Packages".to_owned() } else { format!("{} – Packages", self.heading) };
            files.push((self.file(at), whole(&title, &body, searches)));
        }
    }

    /// From one part to the next.
    fn way(&self, at: usize, parts: usize) -> String {
        let mut way = String::from("<nav class=\"parts\" aria-label=\"Pages of this list\">");
        let to = [("First", 0), ("Previous", at.saturating_sub(1)), ("Next", at + 1), ("Last", parts - 1)];
        for (word, there) in to.into_iter().filter(|(_, there)| *there != at && *there < parts) {
            let _ = write!(way, "<a href=\"{}\">{word}</a> ", self.file(there));
        }
        way.push_str("</nav>\n");
        way
    }

    fn file(&self, at: usize) -> String {
        if at == 0 { format!("{}.html", self.stem) } else { format!("{}.{}.html", self.stem, at + 1) }
    }
}

/// A package in a list.
fn line(one: &Shown) -> String {
    let listing = &one.listed.listing;
    let (to, name, version) = (escaped(&place(&listing.name)), escaped(&listing.name), escaped(&listing.version));
    format!("<li><a href=\"{to}/\">{name}</a> {version}{}</li>\n", said(&one.manifest.description))
}

/// What is searched: a row a package, each text harmless as it stands there.
fn searched(shown: &[Shown]) -> String {
    let row = |one: &Shown| {
        let listing = &one.listed.listing;
        let said = text::cut(&one.manifest.description, SEARCHED_MAX_CHARS);
        json!([
            text::line(&listing.name),
            text::line(&listing.version),
            said,
            text::line(&one.manifest.provides.join(" "))
        ])
    };
    json!(shown.iter().map(row).collect::<Vec<_>>()).to_string()
}

/// A word as a part of a file's name: itself, or its digest if it could be anything else than a name there.
fn file_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    // A number would be one of the pages of the list.
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    if word.chars().all(plain) && !is_number && word.len() <= WORD_MAX_BYTES {
        return word.to_owned();
    }
    format!("-{:.32}", digest(word.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_file_of_its_own_and_nothing_else() {
        assert_eq!(file_word("calendar-2"), "calendar-2");
        for word in ["2", "a.2", "../../x", "A", "", "größe", &"x".repeat(65)] {
            let named = file_word(word);
            assert!(
                named.starts_with('-') && named.len() == 33 && named[1..].bytes().all(|b| b.is_ascii_hexdigit()),
                "{word}: {named}"
            );
        }
    }

    #[test]
    fn a_list_is_cut_into_pages_that_lead_to_each_other() {
        let mut files = Vec::new();
        let lines = (0..LINES_MAX * 2 + 1).map(|at| format!("<li>{at}</li>\n")).collect();
        List { stem: "x", heading: "X", above: SEARCH, lines, count: "201 lines".into() }.write(&mut files);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x.html", "x.2.html", "x.3.html"]);
        let (first, last) = (&files[0].1, &files[2].1);
        assert!(
            first.contains("page 1 of 3") && first.contains("href=\"x.2.html\">Next") && first.contains("search.js")
        );
        assert!(!first.contains("Previous") && !last.contains("Next") && !last.contains("search.js"));
        assert!(last.contains("<li>200</li>") && last.contains("href=\"x.2.html\">Previous"));
    }
}

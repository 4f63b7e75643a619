//! Answers a question from a folder of documents, cites file and line, and writes a report.
//!
//! Code finds and quotes; the model only phrases, and what it cites is checked.

mod answer;
mod passages;
mod ranking;
mod report;

use agentry::files::{Root, root};
use agentry::memory::{Namespace, namespace};
use agentry::{Context, Error, Failure, log};
use serde::{Deserialize, Serialize};

use answer::Citation;
use passages::Passage;

/// Bytes of a document; a book has about one million.
const DOCUMENT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Bytes of all documents together: they are kept in memory while they are ranked.
const CORPUS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Documents of a folder.
const DOCUMENTS_MAX: usize = 2_000;

/// Passages that the model sees: what a small one can keep apart.
const PASSAGES_SHOWN: usize = 3;

/// Earlier questions that a report mentions.
const EARLIER_MAX: usize = 3;

const QUESTION_BYTES_MAX: usize = 1_000;

const ENDINGS: [&str; 8] = ["txt", "md", "markdown", "rst", "adoc", "org", "html", "csv"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    question: String,
    /// The report's name; made from the question if left out.
    report: Option<String>,
}

#[derive(Serialize)]
struct Output {
    answer: String,
    citations: Vec<Citation>,
    report: String,
}

/// What is remembered of a question.
#[derive(Serialize, Deserialize)]
struct Finding {
    question: String,
    report: String,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Output, Failure> {
    let question = input.question.trim();
    if question.is_empty() || question.len() > QUESTION_BYTES_MAX {
        return Err(Failure::new(format!("input, field `question`: 1 to {QUESTION_BYTES_MAX} bytes")));
    }
    let passages = read(&root("documents"))?;
    let found = ranking::best(&passages, question, PASSAGES_SHOWN);
    if found.is_empty() {
        return Err(Failure::new("no document shares a word with the question: ask in the words of the documents"));
    }
    log::info(format!("{} of {} passages fit the question", found.len(), passages.len()));
    let said = answer::ask(question, &found).await.context("asking the model")?;
    let (answer, citations) = answer::cite(&said, &found, question);
    let findings = namespace("agent/researcher/findings");
    let earlier = earlier(&findings, question)?;
    let report = report::name(input.report.as_deref(), question);
    root("reports")
        .write(&report, report::text(question, &answer, &citations, &earlier))
        .context("writing the report")?;
    let finding = Finding { question: question.to_owned(), report: report.clone() };
    findings.put_json(report.trim_end_matches(".md"), &finding).context("remembering the report")?;
    Ok(Output { answer, citations, report })
}

/// Every passage of every document that is text; what is not read is said in the log.
fn read(documents: &Root) -> Result<Vec<Passage>, Failure> {
    let (mut passages, mut bytes, mut count) = (Vec::new(), 0, 0);
    for file in documents.walk("") {
        let file = file.context("listing the documents")?;
        let known = file.path.rsplit_once('.').is_some_and(|(_, end)| ENDINGS.contains(&end.to_lowercase().as_str()));
        if !known {
            continue;
        }
        if file.size > DOCUMENT_BYTES_MAX {
            log::warn(format!("{} is larger than {DOCUMENT_BYTES_MAX} bytes and was not read", file.path));
            continue;
        }
        if count == DOCUMENTS_MAX || bytes + file.size > CORPUS_BYTES_MAX {
            log::warn(format!("there are more documents than can be read: {} and what follows was not", file.path));
            break;
        }
        match documents.read_to_string(&file.path) {
            Ok(text) => passages.extend(passages::cut(&file.path, &text)),
            Err(Error::Invalid(why)) => log::warn(format!("skipped: {why}")),
            Err(Error::NotFound(_)) => log::warn(format!("{} is gone", file.path)),
            Err(error) => return Err(Failure::from(error).context(format!("reading {}", file.path))),
        }
        bytes += file.size;
        count += 1;
    }
    if passages.is_empty() {
        return Err(Failure::new("there is no text in the root `documents`: put .txt or .md files there"));
    }
    Ok(passages)
}

/// Questions that were asked before and share most words with this one.
fn earlier(findings: &Namespace, question: &str) -> Result<Vec<(String, String)>, Failure> {
    let wanted: Vec<String> = ranking::words(question).collect();
    let mut found: Vec<(usize, Finding)> = Vec::new();
    for entry in findings.list("") {
        // What an older version wrote in another form is no reason to fail.
        let Ok(finding) = entry.context("remembering")?.json::<Finding>() else { continue };
        let shared = ranking::words(&finding.question).filter(|word| wanted.contains(word)).count();
        if shared > 0 && finding.question != question {
            found.push((shared, finding));
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.question.cmp(&b.1.question)));
    Ok(found.into_iter().take(EARLIER_MAX).map(|(_, finding)| (finding.question, finding.report)).collect())
}

//! Reads a diff or a folder of code and writes findings. Code finds; a model only remarks, and may be missing.

mod checks;
mod diff;
mod report;

use agentry::files::{Root, root};
use agentry::llm::{Class, Request};
use agentry::{Context, Error, Failure, log};
use serde::{Deserialize, Serialize};

use checks::Finding;
use diff::{Line, Piece};

/// Pieces that a model is asked about: each takes seconds on one core.
const REMARKS_MAX: usize = 4;
const REMARK_TOKENS: u32 = 70;

/// Characters of a piece that a model sees.
const SHOWN_CHARS: usize = 1_200;

/// Bytes of a file of code; what is larger was made by a machine.
const FILE_BYTES_MAX: u64 = 512 * 1024;
const FILES_MAX: usize = 2_000;
const FINDINGS_MAX: usize = 1_000;

const ENDINGS: [&str; 21] = [
    "rs", "py", "js", "jsx", "ts", "tsx", "go", "c", "h", "cc", "cpp", "hpp", "java", "kt", "rb", "sh", "toml", "yaml",
    "yml", "json", "sql",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// A unified diff.
    diff: Option<String>,
    /// A file in the root `code` that holds one.
    file: Option<String>,
    /// A directory of the root `code`; `""` is all of it.
    folder: Option<String>,
    #[serde(default = "yes")]
    remarks: bool,
    report: Option<String>,
}

const fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Output {
    findings: Vec<Finding>,
    remarks: Vec<Remark>,
    reports: [String; 2],
}

/// What a model said of a piece.
#[derive(Serialize)]
struct Remark {
    file: String,
    line: usize,
    text: String,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Output, Failure> {
    let (subject, pieces, mut findings) = read(&input)?;
    findings.extend(pieces.iter().flat_map(checks::check));
    findings.sort_by(|a, b| (a.severity, &a.file, a.line).cmp(&(b.severity, &b.file, b.line)));
    if findings.len() > FINDINGS_MAX {
        log::warn(format!("{} findings; the first {FINDINGS_MAX} are kept", findings.len()));
        findings.truncate(FINDINGS_MAX);
    }
    let remarks = if input.remarks { remark(&pieces).await } else { Vec::new() };
    let name = name(input.report.as_deref());
    let output = Output { findings, remarks, reports: [format!("{name}.json"), format!("{name}.md")] };
    let reports = root("reports");
    reports.write(&output.reports[0], serde_json::to_vec_pretty(&output)?).context("writing the findings")?;
    let text = report::text(&subject, &output.findings, &output.remarks);
    reports.write(&output.reports[1], text).context("writing the findings")?;
    Ok(output)
}

/// What is reviewed: its name, its pieces, and findings that need whole files.
fn read(input: &Input) -> Result<(String, Vec<Piece>, Vec<Finding>), Failure> {
    let code = root("code");
    let (subject, text) = match (&input.diff, &input.file, &input.folder) {
        (Some(diff), None, None) => ("a diff".to_owned(), diff.clone()),
        (None, Some(file), None) => (file.clone(), code.read_to_string(file).context(format!("reading {file}"))?),
        (None, None, Some(folder)) => {
            let (pieces, findings) = read_folder(&code, folder)?;
            let subject = if folder.is_empty() { "the code" } else { folder };
            return Ok((subject.to_owned(), pieces, findings));
        }
        _ => return Err(Failure::new("input: give one of `diff`, `file`, `folder`")),
    };
    let pieces = diff::hunks(&text);
    if pieces.is_empty() {
        return Err(Failure::new(format!("{subject} holds no unified diff: `git diff` writes one")));
    }
    Ok((subject, pieces, Vec::new()))
}

fn read_folder(code: &Root, folder: &str) -> Result<(Vec<Piece>, Vec<Finding>), Failure> {
    let (mut pieces, mut findings, mut count) = (Vec::new(), Vec::new(), 0);
    for file in code.walk(folder) {
        let file = file.context("listing the code")?;
        let known = file.path.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending));
        if !known || file.size > FILE_BYTES_MAX {
            continue;
        }
        if count == FILES_MAX {
            log::warn(format!("only the first {FILES_MAX} files were reviewed"));
            break;
        }
        match code.read_to_string(&file.path) {
            Ok(text) => {
                let these = diff::whole(&file.path, &text);
                let lines: Vec<Line> = these.iter().flat_map(|piece| piece.lines.clone()).collect();
                findings.extend(checks::long_functions(&file.path, &lines));
                pieces.extend(these);
            }
            Err(Error::Invalid(why)) => log::warn(format!("skipped: {why}")),
            Err(Error::NotFound(_)) => log::warn(format!("{} is gone", file.path)),
            Err(error) => return Err(Failure::from(error).context(format!("reading {}", file.path))),
        }
        count += 1;
    }
    if pieces.is_empty() {
        return Err(Failure::new(format!("there is no code in `{folder}` of the root `code`")));
    }
    Ok((pieces, findings))
}

/// One remark a piece, until a call fails: the rest would fail as well, and the checks stand without.
async fn remark(pieces: &[Piece]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    // What holds a secret is not shown to a model: it may be another company's.
    let harmless = pieces.iter().filter(|piece| checks::check(piece).iter().all(|finding| finding.check != "secret"));
    for piece in harmless.filter(|piece| piece.lines.iter().any(|line| line.added)).take(REMARKS_MAX) {
        match request(piece).complete().await {
            Ok(response) => {
                let text = response.text().split_whitespace().collect::<Vec<_>>().join(" ");
                let line = piece.lines.iter().find(|line| line.added).map_or(1, |line| line.number);
                if !text.is_empty() {
                    remarks.push(Remark { file: piece.file.clone(), line, text });
                }
            }
            Err(failure) => {
                log::warn(format!("no more remarks: {}", failure.why));
                break;
            }
        }
    }
    remarks
}

fn request(piece: &Piece) -> Request {
    let lines = piece.lines.iter().map(|line| format!("{}{}\n", if line.added { "+" } else { " " }, line.text));
    let shown: String = lines.collect::<String>().chars().take(SHOWN_CHARS).collect();
    Request::new()
        .system("You review code. Say in one sentence what could go wrong in the lines that begin with +.")
        .user(format!("File {}:\n{shown}", piece.file))
        .max_tokens(REMARK_TOKENS)
        .class(Class::Batch)
        .temperature(0.0)
}

/// A file's name without its ending, never a path.
fn name(wanted: Option<&str>) -> String {
    let kept = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-' || *letter == '_';
    let name: String = wanted.unwrap_or("review").chars().filter(kept).take(60).collect();
    if name.is_empty() { "review".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_never_written_outside_its_root() {
        assert_eq!(name(Some("../../etc/review.md")), "etcreviewmd");
        assert_eq!(name(Some("..")), "review");
        assert_eq!(name(None), "review");
    }
}

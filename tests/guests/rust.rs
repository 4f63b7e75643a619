//! Reads a file, asks for an answer of a schema, keeps it, and fails with a cause: what the guests of the other languages do.
//! Justification: each language is held against the same test.

use agentry::llm::Request;
use agentry::{Context, Failure, files, memory};

#[derive(serde::Deserialize)]
struct Input {
    file: Option<String>,
    raise: Option<String>,
}

#[derive(serde::Deserialize)]
struct Titled {
    title: String,
}

#[derive(serde::Serialize)]
struct Output {
    note: String,
    title: String,
    kept: bool,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Output, Failure> {
    if let Some(why) = input.raise {
        panic!("{why}");
    }
    let path = input.file.unwrap_or_default();
    let note = files::root("documents").read_to_string(&path).context(format!("cannot read {path}"))?;
    let schema = r#"{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}"#;
    let answer = Request::new().user(format!("title: {note}")).schema(schema).max_tokens(64).complete().await?;
    let Titled { title } = answer.json()?;
    let notes = memory::namespace("agent/test/notes");
    let version = notes.put_text("note", &title)?;
    let kept = notes.get("note")?.is_some_and(|entry| entry.text() == Some(&title) && entry.version == version);
    Ok(Output { note, title, kept })
}

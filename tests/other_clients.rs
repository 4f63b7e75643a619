//! Answers as providers send them, read by the vendors' own clients and by our readers: both say the same, or a reason stands beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{end, repository, skip};

/// The example of `host/llm`, built beside the program that is tested.
fn reader() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/agentry");
    let agentry = std::env::var_os("AGENTRY_BIN").map_or(target, PathBuf::from);
    let reader = agentry.with_file_name("examples").join("answer");
    assert!(reader.exists(), "{} is not built: cargo build --workspace --example answer", reader.display());
    reader
}

#[test]
fn answers_are_read_as_the_vendors_own_clients_read_them() {
    let Some(python) = std::env::var_os("AGENTRY_CLIENTS_PYTHON") else {
        let why = "AGENTRY_CLIENTS_PYTHON names no Python with `openai` and `anthropic`";
        return skip("answers_are_read_as_the_vendors_own_clients_read_them", why);
    };
    let mut compare = Command::new(python);
    compare.arg(repository("tests/model_clients.py")).arg(reader()).arg(repository("tests/recorded"));
    // What the clients complain of is theirs, and so is where they would go.
    compare.env("PYTHONWARNINGS", "ignore").env_remove("OPENAI_BASE_URL").env_remove("ANTHROPIC_BASE_URL");
    let told = end(&mut compare).stdout;
    let wrong: Vec<&str> = told.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(told.lines().filter(|line| line.starts_with("same")).count() > 40, "{told}");
    assert!(told.ends_with(" answers, 0 wrong\n"), "{told}");
}

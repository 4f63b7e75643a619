//! Writes a file, reads it, lists it, asks about it and deletes it.
//! Justification: files as an honest agent uses them.

use agentry::Failure;
use agentry::files::root;

#[agentry::agent]
async fn run() -> Result<(String, u64, Vec<String>, bool), Failure> {
    let reports = root("reports");
    reports.write("a/b/report.md", "first")?;
    reports.write("a/b/report.md", "second")?;
    let text = reports.read_to_string("a/b/report.md")?;
    let size = reports.stat("a/b/report.md")?.size;
    let names = reports.walk("a").map(|file| Ok(file?.path)).collect::<Result<_, Failure>>()?;
    reports.delete("a/b/report.md")?;
    let gone = reports.read("a/b/report.md").is_err_and(|error| error.is_not_found());
    Ok((text, size, names, gone))
}

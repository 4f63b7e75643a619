//! Writes twenty thousand log lines, one of them a megabyte, and floods stdout.
//! Justification: past the maximum only the count goes on, and a line is cut.

use agentry::{Failure, log};

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    log::info("x".repeat(1024 * 1024));
    for count in 0..20_000 {
        log::info(format!("line {count}"));
        println!("line {count} of stdout");
    }
    Ok(())
}

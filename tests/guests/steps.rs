//! Does what its input says, one step after the other, and tells what each gave.
//! Justification: what an order of steps leads to, by labels, locks and policies that change, needs an agent that takes any.

use std::time::Duration;

use agentry::files::root;
use agentry::memory::namespace;
use agentry::{Failure, timers, tools};

#[agentry::agent]
async fn run(steps: Vec<Vec<String>>) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for step in &steps {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        told.push(match words.as_slice() {
            ["get", place, key] => tell(namespace(*place).get(key).map(|entry| match entry {
                Some(entry) => format!("{:?} {:?}", entry.text().unwrap_or_default(), entry.labels),
                None => "nothing".into(),
            })),
            ["put", place, key, text] => {
                tell(namespace(*place).put_text(key, *text).map(|version| version.to_string()))
            }
            ["read", place, path] => tell(root(*place).read_to_string(path)),
            ["write", place, path, text] => tell(root(*place).write(path, text).map(|()| "written".into())),
            ["fill", place, path, bytes] => {
                let bytes = bytes.parse().map_err(|_| Failure::new("a file has no size"))?;
                tell(root(*place).write(path, vec![7; bytes]).map(|()| "written".into()))
            }
            ["delete", place, path] => tell(root(*place).delete(path).map(|()| "deleted".into())),
            ["list", place, path] => tell(root(*place).list(path).map(|stats| stats.len().to_string())),
            ["call", tool, arguments] => {
                tell(tools::call_json(tool, arguments).await.map(|answer| format!("{answer:?}")))
            }
            ["sleep", ms] => {
                let ms = ms.parse().map_err(|_| Failure::new("a sleep has no length"))?;
                tell(timers::sleep(Duration::from_millis(ms)).await.map(|()| "slept".into()))
            }
            other => return Err(Failure::new(format!("no such step: {other:?}"))),
        });
    }
    Ok(told)
}

fn tell(result: Result<String, agentry::Error>) -> String {
    result.unwrap_or_else(|error| format!("no: {error}"))
}

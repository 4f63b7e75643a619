//! `bindings c|go WIT DIR`: what `wit-bindgen c` and `wit-bindgen go` write for the world `agent`, by the same generators.

use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [language, wit, directory] = arguments.as_slice() else { bail!("usage: bindings c|go WIT DIR") };
    let mut generator = match language.as_str() {
        "c" => wit_bindgen_c::Opts::default().build(),
        "go" => wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() }.build(),
        other => bail!("no bindings for `{other}`"),
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(wit))?;
    let world = resolve.select_world(&[package], Some("agent"))?;
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        let path = Path::new(directory).join(name);
        let parent = path.parent().context("a file lies in a directory")?;
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, content)).context(name.to_owned())?;
    }
    Ok(())
}

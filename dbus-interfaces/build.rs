//! Writes what the arbiter answers to `Introspect`, the `<interface>` element of each file without its comments, for
//! `src/xml.rs`: the comments are six times as long, and a daemon that carried them would be that much larger.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=xml");
    let out = env::var("OUT_DIR")?;
    for file in fs::read_dir("xml")? {
        let file = file?;
        let text = fs::read_to_string(file.path())?;
        let element = element(&text).ok_or("no interface")?;
        fs::write(Path::new(&out).join(file.file_name()), element)?;
    }
    Ok(())
}

fn element(text: &str) -> Option<String> {
    let xml = without_comments(text);
    const CLOSE: &str = "</interface>";
    let element = xml.get(xml.find("<interface ")?..xml.find(CLOSE)? + CLOSE.len())?;
    let lines = element.lines().map(str::trim_end).filter(|line| !line.is_empty());
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn without_comments(xml: &str) -> String {
    let mut text = String::new();
    let mut rest = xml;
    while let Some((before, comment)) = rest.split_once("<!--") {
        text.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

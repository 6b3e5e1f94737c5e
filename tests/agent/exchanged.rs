//! Block and allow lists as files: large ones, hostile ones, and ones that come back as they went; and a disk that is full.

use std::fs::{self, File};
use std::io::{Seek, Write};

use anyhow::{Context, Result, anyhow, ensure};
use harness::{Launch, Process, Refused, built, eventually, options};
use serde_json::Value;
use zbus::Fd;

use crate::desk::Desk;
use crate::history::{AGENT, Disk, OBJECT, open_app};
use crate::lists::{agent, calls, refused, rings, said, turned_away};

const LISTS: &str = "org.callarbiter.Agent1.Lists";

/// A tenth of what a list may have, so that the test is short.
const MANY: usize = 100_000;

#[tokio::test]
async fn a_large_list_is_imported_looked_up_and_there_again_at_once() -> Result<()> {
    let desk = Desk::new().await?;
    let mut first = agent(&desk, "lists").await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let path = desk.bus().directory().join("many.csv");
    let numbers: String = (0..MANY).map(|n| format!("tel:+4988{n:06}\n")).collect();
    fs::write(&path, format!("address\n{numbers}"))?;
    let path = path.to_string_lossy();
    assert_eq!(said(&desk, &["block", "import", &path]).await?["entries"], MANY);
    turned_away(&app, "tel:+4988099999").await?;
    let quick = async |agent: &Process| {
        // At the first attempt: within the five seconds after which a caller rings unscreened.
        let (_, blocked) = calls(&app, "tel:+4988000007").await;
        ensure!(blocked.is_err_and(|why| why.short() == "FilteredByBlockList"));
        rings(&app, "tel:+4988100000").await?;
        let mebibytes = resident(agent)? / 1024;
        ensure!(mebibytes < 64, "{mebibytes} MiB");
        anyhow::Ok(())
    };
    quick(&first).await?;
    first.signal("KILL")?;
    first.end().await?;
    drop(first);
    let second = agent(&desk, "lists").await?;
    turned_away(&app, "tel:+4988000000").await?;
    quick(&second).await
}

/// KiB.
fn resident(process: &Process) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("the kernel tells no VmRSS")?.parse()?)
}

#[tokio::test]
async fn what_goes_out_comes_back_as_it_was() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = agent(&desk, "lists").await?;
    for words in [
        ["block", "add", "+49 30 1", "--reason", "wine, \"cheap\"; müde"].as_slice(),
        &["block", "add", "sip:*@spam.example", "--app", "org.example.Softphone"],
        &["block", "add", "tel:+4940*", "--expires", "30d"],
        &["block", "add", "anonymous"],
        &["block", "add", "xmpp:eve@example.org"],
        &["block", "add", "@mallory:example.org"],
        &["allow", "add", "ada@example.org", "--reason", "Ada, Countess"],
        &["allow", "add", "+49 30 2"],
    ] {
        said(&desk, words).await?;
    }
    let before = [everything(&desk, "block").await?, everything(&desk, "allow").await?];
    let path = |name: &str| desk.bus().directory().join(name).to_string_lossy().into_owned();
    for list in ["block", "allow"] {
        said(&desk, &[list, "export", &path(list)]).await?;
    }
    let cards = said(&desk, &["allow", "export", &path("cards.vcf")]).await?;
    assert_eq!((&cards["entries"], &cards["left_out"]), (&2.into(), &0.into()), "{cards}");
    let text = fs::read_to_string(path("cards.vcf"))?;
    assert!(text.contains("CATEGORIES:allowed") && text.contains("Ada\\, Countess"), "{text}");

    for list in ["block", "allow"] {
        said(&desk, &[list, "clear"]).await?;
        said(&desk, &[list, "import", &path(list)]).await?;
    }
    assert_eq!([everything(&desk, "block").await?, everything(&desk, "allow").await?], before);

    // The same by cards, and by a pipe.
    said(&desk, &["allow", "clear"]).await?;
    said(&desk, &["allow", "import", &path("cards.vcf")]).await?;
    let back = everything(&desk, "allow").await?;
    let addresses = |all: &[Value]| all.iter().map(|e| e["address"].clone()).collect::<Vec<_>>();
    assert_eq!(addresses(&back), addresses(&before[1]));
    assert!(back.iter().any(|entry| entry["reason"] == "Ada, Countess"), "{back:?}");
    said(&desk, &["block", "clear"]).await?;
    let (given, ended, told) = piped(&desk, &fs::read(path("block"))?).await?;
    assert!(ended, "{given} {told}");
    assert_eq!(everything(&desk, "block").await?, before[0]);
    Ok(())
}

/// All of a list, without when it was said.
async fn everything(desk: &Desk, list: &str) -> Result<Vec<Value>> {
    let told = said(desk, &[list, "list"]).await?;
    let mut all = told["entries"].as_array().context("no entries")?.clone();
    for entry in &mut all {
        let entry = entry.as_object_mut().context("no entry")?;
        entry.retain(|key, _| !matches!(key.as_str(), "added_at" | "id" | "number"));
    }
    all.sort_by_key(Value::to_string);
    Ok(all)
}

/// `callctl block import -`: what it printed, whether it succeeded, and what it said was wrong.
async fn piped(desk: &Desk, bytes: &[u8]) -> Result<(String, bool, String)> {
    let (reader, mut writer) = std::io::pipe()?;
    let launch: Launch = desk.launch(built("callctl", "-p callctl")?)?;
    let words = ["--json", "--bus", &desk.bus().address(), "block", "import", "-"];
    let launch = words.into_iter().fold(launch, |launch, word| launch.arg(word));
    let mut run = launch.stdin(reader).start(desk.bus().directory())?;
    writer.write_all(bytes)?;
    drop(writer);
    let done = run.end().await?.success();
    Ok((run.output(), done, run.log()))
}

const ADA: &str =
    "BEGIN:VCARD\r\nVERSION:4.0\r\nCATEGORIES:blocked\r\nFN:Ada\r\nTEL:+492\r\nEND:VCARD\r\n";

#[tokio::test]
async fn hostile_files_are_refused_with_the_line_and_what_would_help() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = agent(&desk, "lists").await?;
    said(&desk, &["block", "add", "tel:+491"]).await?;
    let path = |name: &str| desk.bus().directory().join(name).to_string_lossy().into_owned();
    let long = "9".repeat(3000);
    let reason = "x".repeat(100_000);
    for (name, bytes, says) in [
        ("latin.csv", b"address,reason\n+491,fine\n+492,M\xfcller\n".to_vec(), ["line 3", "UTF-8"]),
        ("address.csv", format!("address\n+491\ntel:+{long}\n").into_bytes(), ["line 3", "bytes"]),
        (
            "reason.csv",
            format!("address,reason\n+491,{reason}\n").into_bytes(),
            ["line 2", "bytes"],
        ),
        ("column.csv", b"number\n+491\n".to_vec(), ["line 1", "address"]),
        ("expires.csv", b"address,expires\n+491,soon\n".to_vec(), ["line 2", "2026-12-31"]),
        ("zeros.csv", vec![0; 4096], ["line 1", "address"]),
        (
            "address.vcf",
            format!(
                "{ADA}BEGIN:VCARD\r\nCATEGORIES:blocked\r\nFN:Bob\r\nTEL:{long}\r\nEND:VCARD\r\n"
            )
            .into_bytes(),
            ["card 2 of 2", "bytes"],
        ),
        ("open.vcf", b"BEGIN:VCARD\r\nVERSION:4.0\r\nTEL:+491\r\n".to_vec(), ["line", "END:VCARD"]),
    ] {
        fs::write(path(name), bytes)?;
        let why = refused(&desk, &["block", "import", &path(name)]).await?;
        ensure!(says.iter().all(|word| why.contains(word)) && why.len() < 1000, "{name}: {why}");
    }
    // What old phones write is no mistake.
    let latin = b"BEGIN:VCARD\r\nVERSION:2.1\r\nCATEGORIES:allowed\r\nFN:M\xfcller\r\nTEL:+493\r\nEND:VCARD\r\n";
    fs::write(path("latin.vcf"), latin)?;
    said(&desk, &["allow", "import", &path("latin.vcf")]).await?;
    let allowed = said(&desk, &["allow", "list", "+493"]).await?;
    assert_eq!(allowed["entries"][0]["reason"], "Müller", "{allowed}");
    said(&desk, &["allow", "clear"]).await?;

    // Larger than anything that is read, without a byte on the disk.
    let sparse = File::create(path("sparse.csv"))?;
    sparse.set_len(2 << 30)?;
    let why = refused(&desk, &["block", "import", &path("sparse.csv")]).await?;
    ensure!(why.contains("bytes; divide it"), "{why}");
    let why = refused(&desk, &["block", "import", &path("nothing.csv")]).await?;
    ensure!(why.contains("nothing.csv") && why.contains("No such file"), "{why}");
    let (_, done, why) = piped(&desk, b"address\ntel:030*\n").await?;
    ensure!(!done && why.contains("line 2"), "{why}");

    // The agent itself takes no file from which it would have to wait, and none without an end.
    let mut sparse = File::open(path("sparse.csv"))?;
    sparse.rewind()?;
    let (pipe, _writer) = std::io::pipe()?;
    for (file, kind, says) in [
        (Fd::from(std::os::fd::OwnedFd::from(sparse)), "LimitExceeded", "divide it"),
        (Fd::from(std::os::fd::OwnedFd::from(pipe)), "InvalidArgument", "copy what it is"),
        (Fd::from(std::os::fd::OwnedFd::from(File::open("/dev/zero")?)), "InvalidArgument", "copy"),
    ] {
        let asked = (file, options([("list", "block".into())]));
        let peer = &desk.phone.peer;
        let imported = peer.call_at::<_, ()>(AGENT, OBJECT, LISTS, "Import", &asked).await;
        let why: Refused = imported.err().with_context(|| anyhow!("{says}: it was taken"))?;
        ensure!(why.short() == kind && why.message.contains(says), "{why}");
    }
    assert_eq!(said(&desk, &["block"]).await?["total"], 1, "nothing of any of them is there");
    Ok(())
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_half_said_and_callers_are_looked_at_all_the_same() -> Result<()>
{
    let desk = Desk::new().await?;
    let app = open_app(&desk, "org.example.Softphone").await?;
    let disk = Disk::mount(&desk.home().join("small"))?;
    let _agent = desk.agent_in("lists", &[("XDG_DATA_HOME", disk.0.clone())]).await?;
    let served = async || desk.callctl(&["block"]).await.ok()?.ok();
    eventually("the lists are served", served).await?;
    said(&desk, &["block", "add", "tel:+4930123456"]).await?;
    turned_away(&app, "tel:+4930123456").await?;
    disk.fill()?;
    let many: String = (0..20_000).map(|n| format!("tel:+4988{n:06}\n")).collect();
    let path = desk.bus().directory().join("many.csv");
    fs::write(&path, format!("address\n{many}"))?;
    let path = path.to_string_lossy();
    for words in [["block", "import", &path].as_slice(), &["block", "add", "tel:+4930654321"]] {
        let why = refused(&desk, words).await?;
        ensure!(why.contains("the disk is full"), "{words:?}: {why}");
    }
    turned_away(&app, "tel:+4930123456").await?;
    rings(&app, "tel:+4930654321").await?;
    assert_eq!(said(&desk, &["block"]).await?["total"], 1);
    fs::remove_file(disk.0.join("filler"))?;
    said(&desk, &["block", "add", "tel:+4930654321"]).await?;
    turned_away(&app, "tel:+4930654321").await?;
    Ok(())
}

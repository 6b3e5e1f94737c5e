//! The line over a pair of sockets: messages in pieces, many in one, with files, long ones, and writes that block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    io::{IoSlice, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream as Stream,
    },
};

use rustix::process::{Resource, Rlimit, setrlimit};
use zbus::{Fd, Message};

use super::*;

/// The line, and a bus that does nothing by itself.
fn pair() -> (Line, Stream) {
    let (ours, theirs) = Stream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Line::over(ours.into()).unwrap(), theirs)
}

fn message(text: &str) -> Message {
    Message::signal("/a", "a.b", "C").build(&text).unwrap()
}

fn text(message: &Received) -> String {
    let (text,) = message.arguments().unwrap();
    text
}

fn write_with_file(bus: &Stream, bytes: &[u8], file: BorrowedFd<'_>) {
    let written = transmit(bus.as_fd(), &[IoSlice::new(bytes)], &[file]).unwrap();
    assert_eq!(written, bytes.len());
}

#[tokio::test]
async fn messages_come_in_their_order_however_they_were_cut() {
    let (line, mut bus) = pair();
    let texts: Vec<String> = (0..100).map(|n| "x".repeat(n * 7)).collect();
    let bytes: Vec<u8> = texts.iter().flat_map(|text| message(text).data().to_vec()).collect();
    for size in [1, 7, 16, 1000, 100_000] {
        let bytes = bytes.clone();
        let writer = tokio::task::spawn_blocking(move || {
            bytes.chunks(size).for_each(|piece| bus.write_all(piece).unwrap());
            bus
        });
        for expected in &texts {
            assert_eq!(text(&line.next().await.unwrap()), *expected, "{size} bytes at a time");
        }
        assert!(line.next_at_once().is_none());
        bus = writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_socket_that_was_emptied_is_waited_for() {
    let (line, mut bus) = pair();
    for round in 0..3 {
        for n in 0..3 {
            bus.write_all(message(&format!("{round}.{n}")).data()).unwrap();
        }
        for n in 0..3 {
            assert_eq!(text(&line.next().await.unwrap()), format!("{round}.{n}"));
        }
        assert!(line.next_at_once().is_none());
    }
    drop(bus);
    assert!(line.next().await.is_err());
}

#[tokio::test]
async fn a_long_message_is_whole_and_its_room_is_given_back() {
    let (line, mut bus) = pair();
    let long = "y".repeat(5 * 1024 * 1024);
    let writer = tokio::task::spawn_blocking(move || {
        bus.write_all(message(&long).data()).unwrap();
        bus.write_all(message("after").data()).unwrap();
        bus
    });
    assert_eq!(text(&line.next().await.unwrap()).len(), 5 * 1024 * 1024);
    assert_eq!(text(&line.next().await.unwrap()), "after");
    assert!(line.incoming().room().len() < 1024 * 1024);
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn files_belong_to_the_messages_that_count_them() {
    let (line, bus) = pair();
    let names = ["/dev/null", "/dev/zero", "/dev/full"];
    let files = names.map(|name| std::fs::File::open(name).unwrap());
    let with = |file: &std::fs::File| {
        Message::signal("/a", "a.b", "F").build(&Fd::from(file.as_fd())).unwrap()
    };
    // One without before it in the same write, and one that follows in the next.
    let mut first = message("without").data().to_vec();
    first.extend_from_slice(with(&files[0]).data());
    write_with_file(&bus, &first, files[0].as_fd());
    write_with_file(&bus, with(&files[1]).data(), files[1].as_fd());
    let (begin, rest) = {
        let bytes = with(&files[2]).data().to_vec();
        (bytes[..20].to_vec(), bytes[20..].to_vec())
    };
    write_with_file(&bus, &begin, files[2].as_fd());
    (&bus).write_all(&rest).unwrap();
    (&bus).write_all(message("after").data()).unwrap();

    assert_eq!(text(&line.next().await.unwrap()), "without");
    for file in &files {
        let message = line.next().await.unwrap();
        let came: zbus::OwnedFd = message.whole().unwrap().body().deserialize().unwrap();
        let came = std::fs::File::from(std::os::fd::OwnedFd::from(came));
        let device =
            |file: &std::fs::File| std::os::unix::fs::MetadataExt::rdev(&file.metadata().unwrap());
        assert_eq!(device(&came), device(file));
    }
    assert_eq!(text(&line.next().await.unwrap()), "after");
    assert!(line.next_at_once().is_none());
}

#[tokio::test]
async fn one_whose_header_cannot_be_read_is_passed_over() {
    let (line, bus) = pair();
    let mut bad = message("bad").data().to_vec();
    // The length of its path.
    bad[20] = 200;
    let file = std::fs::File::open("/dev/null").unwrap();
    write_with_file(&bus, &bad, file.as_fd());
    (&bus).write_all(message("good").data()).unwrap();
    assert_eq!(text(&line.next().await.unwrap()), "good");
    assert!(line.incoming().files().is_empty());
}

#[tokio::test]
async fn what_is_no_message_ends_the_line() {
    for bytes in [&[b'x'; 16][..], &[b'l', 4, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 0]] {
        let (line, mut bus) = pair();
        bus.write_all(bytes).unwrap();
        assert!(line.next().await.is_err());
    }
}

#[tokio::test]
async fn a_write_that_blocks_is_waited_for_and_watched_for_no_longer() {
    let (line, mut bus) = pair();
    line.send(&[message("short").into()]).await.unwrap();
    let messages: Vec<Outgoing> = (0..1000).map(|n| message(&"z".repeat(n * 10)).into()).collect();
    let expected: Vec<u8> = messages.iter().flat_map(|message| message.as_ref().to_vec()).collect();
    let mut read = vec![0; message("short").data().len() + expected.len()];
    let reader = std::thread::spawn(move || {
        bus.read_exact(&mut read).unwrap();
        read
    });
    line.send(&messages).await.unwrap();
    assert!(reader.join().unwrap().ends_with(&expected));
    // By some epoll instance of this process.
    let is_watched = |fd: i32| {
        let watched = format!("tfd: {fd:8} ");
        let all = std::fs::read_dir("/proc/self/fdinfo").unwrap().map(|fd| fd.unwrap().path());
        all.map(std::fs::read_to_string).any(|fd| fd.is_ok_and(|fd| fd.contains(&watched)))
    };
    assert!(is_watched(line.0.socket.get_ref().as_raw_fd()));
    assert!(!is_watched(line.0.for_writing.as_raw_fd()));
}

/// In a process of its own, which cannot open anything any more.
#[test]
fn a_write_that_blocks_needs_no_descriptor() {
    const ALONE: &str = "CALLARBITER_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "line::tests::a_write_that_blocks_needs_no_descriptor";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let alone = alone.args(["--exact", name]).env(ALONE, "").output().unwrap();
        assert!(alone.status.success(), "{alone:?}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (line, mut bus) = pair();
        let long = Outgoing::from(message(&"z".repeat(1 << 20)));
        let mut read = vec![0; long.length()];
        let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
        let current = Some(u64::try_from(next).unwrap());
        setrlimit(Resource::Nofile, Rlimit { current, maximum: current }).unwrap();
        assert!(std::fs::File::open("/dev/null").is_err());
        let sent = [long];
        let mut sending = std::pin::pin!(line.send(&sent));
        let waits = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())).await;
        assert!(waits);
        let reader = std::thread::spawn(move || bus.read_exact(&mut read).unwrap());
        sending.await.unwrap();
        reader.join().unwrap();
    });
}

#[tokio::test]
async fn what_is_sent_with_files_arrives_with_them_and_nothing_else_does() {
    let (line, bus) = pair();
    bus.set_nonblocking(true).unwrap();
    let bus = Line::over(bus.into()).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let with_file = || Message::signal("/a", "a.b", "C").build(&Fd::from(&file)).unwrap();
    let sent = [message("one"), message("two"), with_file(), with_file(), message("three")];
    let sent = sent.map(Outgoing::from);
    line.send(&sent).await.unwrap();
    for has_file in [false, false, true, true, false] {
        let message = bus.next().await.unwrap();
        assert_eq!(message.has_files(), has_file);
    }
    assert!(bus.incoming().files().is_empty());
}

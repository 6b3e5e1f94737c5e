//! Block and allow lists alone: how long the answer for a caller takes among a million entries, and what they cost.
//!
//! `cargo bench -p callarbiter-lists [-- --quick]`. The rows take turns, and callers come in an order in which none is
//! next to the one before, so that nothing of the last search helps the next. What is printed is the time of each
//! tenth of all rounds and of the slowest, since a person waits for the slow ones as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{hint::black_box, time::Instant};

use callarbiter_lists::{
    entry::{List, Rule},
    pattern::Pattern,
    region::of_country,
    table::{ROW, Table},
};

/// How many callers are timed together: a clock takes as long as a look.
const AT_ONCE: u64 = 32;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (entries, rounds) = if quick { (10_000, 100) } else { (1_000_000, 10_000) };
    let began = Instant::now();
    let table = Table::of((0..entries).map(rule));
    let built = began.elapsed();
    let callers: [(&str, Caller); 6] = [
        ("a number that is listed", |n| format!("tel:{}", number(n * 20))),
        ("a number that is not", |n| format!("tel:{}9", number(n * 20))),
        ("a number below a prefix", |n| format!("tel:{}7", number(n * 20 + 17))),
        ("an address at a domain", |n| format!("sip:bob@a.b.c.{}", host(n * 20 + 18))),
        ("an address nowhere", |n| format!("sip:bob@a.b.c.d.e.f.g.h.{}.org", host(n))),
        ("a number behind a gateway", |n| format!("sip:{}9@{}.net", number(n), host(n))),
    ];
    let region = of_country("DE");
    let mut times = vec![Vec::new(); callers.len()];
    for round in 0..rounds {
        for ((_, caller), times) in callers.iter().zip(&mut times) {
            let at = |n: u64| (round * AT_ONCE + n).wrapping_mul(0x9e37_79b9) % (entries / 20);
            let handles: Vec<String> = (0..AT_ONCE).map(|n| caller(at(n))).collect();
            let began = Instant::now();
            for handle in &handles {
                black_box(table.decides(black_box(handle), "org.example.Phone", region, 1));
            }
            times.push(began.elapsed().as_secs_f64() * 1e6 / AT_ONCE as f64);
        }
    }
    println!("{entries} entries, built in {:.2} s", built.as_secs_f64());
    println!();
    println!("| caller | µs, half of them | 99 of 100 | slowest |");
    println!("|---|---|---|---|");
    for ((title, _), times) in callers.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!("| {title} | **{:.2}** | {:.2} | {:.2} |", at(0.5), at(0.99), at(1.0));
    }
    println!();
    let each = table.bytes() as f64 / table.len() as f64;
    println!("An entry: **{each:.0} bytes**, of which {ROW} beside its address");
}

/// The handle of the n-th.
type Caller = fn(u64) -> String;

/// Of twenty entries one is a prefix, one a domain, one an address; the others are numbers.
fn rule(n: u64) -> Rule {
    let pattern = match n % 20 {
        17 => Pattern::Prefix(format!("tel:{}", number(n))),
        18 => Pattern::Domain(format!("sip:{}", host(n))),
        19 => Pattern::Exact(format!("sip:ada@{}", host(n))),
        _ => Pattern::Exact(format!("tel:{}", number(n))),
    };
    let list = if n.is_multiple_of(7) { List::Allow } else { List::Block };
    Rule { list, pattern, app: String::new(), expires: 0 }
}

/// Spread over a country of a million million numbers, no two alike.
fn number(n: u64) -> String {
    format!("+49{:011}", n.wrapping_mul(61_803_398_875) % 100_000_000_000)
}

fn host(n: u64) -> String {
    format!("h{}.example", n.wrapping_mul(61_803_398_875) % 100_000_000_000)
}

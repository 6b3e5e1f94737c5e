//! The core alone: inputs each second on one thread, what each allocates, and what other calls cost.
//!
//! `cargo bench -p callarbiter-core --bench core [-- --quick] [WORD]`; with a word, only the rows with it in their
//! title. Owns the allocator that counts, and counts only inside the arbiter. A call here is what a call is: it
//! rings, is answered, gets the audio, is muted, held, resumed and ended, each with its requests to a provider that
//! answers at once. The rows take turns, so that a machine with other work slows all of them alike.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use callarbiter_core::*;
use uuid::Uuid;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// What was allocated and is not given back.
static HELD: AtomicU64 = AtomicU64::new(0);

/// There is one thread, and a locked instruction would take longer than many an allocation.
fn count(sum: &AtomicU64, more: u64) {
    sum.store(sum.load(Relaxed).wrapping_add(more), Relaxed);
}

// SAFETY: the system's allocator does everything; this only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS, 1);
        count(&BYTES, layout.size() as u64);
        count(&HELD, layout.size() as u64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(&HELD, (layout.size() as u64).wrapping_neg());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How much there is beside the call that comes and goes.
const ROWS: [(&str, u32, u32); 3] = [
    ("one call at a time", 1, 0),
    ("beside 100 held calls", 1, 100),
    ("beside 10,000 held calls of 100 users", 100, 100),
];

const ROUNDS: u32 = 20;

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|a| !a.starts_with("--bench")).collect();
    let quick = words.iter().any(|w| w == "--quick");
    let calls = if quick { 100 } else { 10_000 };
    let named =
        |title: &str| words.iter().filter(|w| *w != "--quick").all(|w| title.contains(w.as_str()));
    let mut rows: Vec<(&str, World, Vec<f64>)> = ROWS
        .into_iter()
        .filter(|(title, ..)| named(title))
        .map(|(title, users, held)| (title, World::with(users, held), Vec::new()))
        .collect();
    for round in 0..=ROUNDS {
        for (_, world, rates) in &mut rows {
            let (began, before) = (Instant::now(), world.spent.inputs);
            (0..calls).for_each(|_| world.one_call());
            if round == 0 {
                world.spent = Spent::default();
            } else {
                rates.push((world.spent.inputs - before) as f64 / began.elapsed().as_secs_f64());
            }
        }
    }
    println!("| | inputs/s | allocations per input | bytes per input |");
    println!("|---|---|---|---|");
    for (title, world, mut rates) in rows {
        rates.sort_by(f64::total_cmp);
        let Spent { inputs, allocations, bytes } = world.spent;
        let per_input = |n: u64| n as f64 / inputs as f64;
        let rate = rates[rates.len() / 2];
        println!(
            "| {title} | **{rate:.0}** | {:.2} | {:.0} |",
            per_input(allocations),
            per_input(bytes),
        );
    }
    println!();
    println!("A live call, with its group and its causes: **{} bytes**", bytes_of_a_call());
}

/// What one more call that is held takes, on average of a hundred.
fn bytes_of_a_call() -> u64 {
    const CALLS: u32 = 100;
    let held = |calls| {
        let before = HELD.load(Relaxed);
        let world = World::with(1, calls);
        let held = HELD.load(Relaxed) - before;
        drop(world);
        held
    };
    (held(CALLS) - held(0)) / u64::from(CALLS)
}

/// What went through the arbiter, and what it took there.
#[derive(Default)]
struct Spent {
    inputs: u64,
    allocations: u64,
    bytes: u64,
}

struct World {
    arbiter: Arbiter,
    now: Now,
    provider: ProviderId,
    spent: Spent,
    calls: u128,
    effects: Vec<Effect>,
    open: Vec<RequestId>,
}

const PROVIDER: Caller = Caller {
    uid: Uid(1000),
    peer: Peer(1),
    sandboxed: false,
    control: true,
    place_call: true,
    agent: false,
};
const CONTROLLER: Caller = Caller { peer: Peer(2), ..PROVIDER };

impl World {
    /// So many users, each with an app and so many held calls; the first one is who has the calls that come.
    fn with(users: u32, held: u32) -> Self {
        let policy = Policy { authorization: AuthorizationPolicy::Allow, ..Policy::default() };
        let limits = Limits { groups_per_provider: 256, ..Limits::default() };
        let mut world = World {
            arbiter: Arbiter::new(Settings { policy, limits, ..Settings::default() }),
            now: Now { mono: Time(1), wall: 1 },
            provider: ProviderId(0),
            spent: Spent::default(),
            calls: u128::from(held),
            effects: Vec::new(),
            open: Vec::new(),
        };
        for user in (0..users).rev() {
            let caller =
                Caller { uid: Uid(1000 + user), peer: Peer(1 + 2 * u64::from(user)), ..PROVIDER };
            world.register(caller, held);
        }
        world
    }

    fn register(&mut self, caller: Caller, held: u32) {
        let registration = Registration {
            app: "org.example.Phone".into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration: Configuration::default(),
            preset: None,
        };
        let Reply::Provider(provider) = self.take(Input::Register { caller, registration }) else {
            panic!("not registered")
        };
        self.provider = provider;
        for call in 1..=held {
            let word = Word::Live {
                uuid: Uuid::from_u128(u128::from(call)),
                direction: Direction::Incoming,
                state: CallState::Held,
                update: Update::default(),
            };
            self.take(Input::Provider { caller, provider, word });
        }
        self.effects.clear();
    }

    fn one_call(&mut self) {
        self.calls += 1;
        let uuid = Uuid::from_u128(self.calls);
        let call = CallRef::Uuid(uuid);
        let update = Update {
            handle: Some("tel:+15551234567".into()),
            name: Some("Ada Lovelace".into()),
            ..Update::default()
        };
        self.says(Word::Incoming { uuid, update });
        self.asks(Action::Answer { call });
        self.asks(Action::SetMuted { call, muted: true });
        self.asks(Action::SetMuted { call, muted: false });
        self.asks(Action::SetHeld { call, held: true });
        self.asks(Action::SetHeld { call, held: false });
        let name = Update { name: Some("Ada King".into()), ..Update::default() };
        self.says(Word::Update { uuid, update: name });
        self.says(Word::State { uuid, state: None, remote_held: Some(true) });
        self.says(Word::State { uuid, state: None, remote_held: Some(false) });
        self.asks(Action::End { call, reason: None, message: Private::default() });
    }

    fn says(&mut self, word: Word) {
        self.take(Input::Provider { caller: PROVIDER, provider: self.provider, word });
        self.answer();
    }

    fn asks(&mut self, action: Action) {
        let actions = vec![Requested { action, expected: None }];
        self.take(Input::Request { caller: CONTROLLER, actions, token: None });
        self.answer();
    }

    /// The provider fulfils what it was asked, and what it is asked then.
    fn answer(&mut self) {
        let asked = |effect: &Effect| match effect {
            Effect::Ask { request, .. } => Some(*request),
            _ => None,
        };
        self.open.extend(self.effects.drain(..).filter_map(|e| asked(&e)));
        while let Some(request) = self.open.pop() {
            let word = Word::Fulfil { request, calls: None };
            self.take(Input::Provider { caller: PROVIDER, provider: self.provider, word });
            self.open.extend(self.effects.drain(..).filter_map(|e| asked(&e)));
        }
    }

    fn take(&mut self, input: Input) -> Reply {
        self.now = Now { mono: self.now.mono + Millis(10), wall: self.now.wall + 10_000 };
        let (allocations, bytes) = (ALLOCATIONS.load(Relaxed), BYTES.load(Relaxed));
        let reply = self.arbiter.handle(self.now, input, &mut self.effects).unwrap();
        self.spent.inputs += 1;
        self.spent.allocations += ALLOCATIONS.load(Relaxed) - allocations;
        self.spent.bytes += BYTES.load(Relaxed) - bytes;
        reply
    }
}

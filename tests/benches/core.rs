//! The core alone: inputs each second on one thread, and what each allocates.
//!
//! `cargo bench -p callarbiter-core --bench core [-- --quick]`. Owns the allocator that counts. A call here is
//! what a call is: it rings, is answered, gets the audio, is muted, held, resumed and ended, each with its
//! requests to a provider that answers at once.
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

// SAFETY: the system's allocator does everything; this only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    let calls = if std::env::args().any(|word| word == "--quick") { 1_000 } else { 100_000 };
    println!("| | inputs/s | allocations per input | bytes per input |\n|---|---|---|---|");
    for (title, held) in [("one call at a time", 0), ("beside 100 held calls", 100)] {
        let mut world = World::with_held(held);
        world.one_call();
        let (allocations, bytes) = (ALLOCATIONS.load(Relaxed), BYTES.load(Relaxed));
        let (began, before) = (Instant::now(), world.inputs);
        for _ in 0..calls {
            world.one_call();
        }
        let seconds = began.elapsed().as_secs_f64();
        let inputs = (world.inputs - before) as f64;
        println!(
            "| {title} | **{:.0}** | {:.1} | {:.0} |",
            inputs / seconds,
            (ALLOCATIONS.load(Relaxed) - allocations) as f64 / inputs,
            (BYTES.load(Relaxed) - bytes) as f64 / inputs,
        );
    }
}

struct World {
    arbiter: Arbiter,
    now: Now,
    provider: ProviderId,
    inputs: u64,
    calls: u128,
    effects: Vec<Effect>,
}

const PROVIDER: Caller =
    Caller { uid: Uid(1000), peer: Peer(1), sandboxed: false, control: true, agent: false };
const CONTROLLER: Caller = Caller { peer: Peer(2), ..PROVIDER };

impl World {
    fn with_held(held: u128) -> Self {
        let policy = Policy { authorization: AuthorizationPolicy::Allow, ..Policy::default() };
        let limits = Limits { groups_per_provider: 256, ..Limits::default() };
        let settings = Settings { policy, limits, ..Settings::default() };
        let mut world = World {
            arbiter: Arbiter::new(settings),
            now: Now { mono: Time(1), wall: 1 },
            provider: ProviderId(0),
            inputs: 0,
            calls: held,
            effects: Vec::new(),
        };
        let registration = Registration {
            app: "org.example.Phone".into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration: Configuration::default(),
        };
        let register = Input::Register { caller: PROVIDER, registration };
        let Reply::Provider(provider) = world.take(register) else { panic!("not registered") };
        world.provider = provider;
        for call in 0..held {
            world.says(Word::Live {
                uuid: Uuid::from_u128(call + 1),
                direction: Direction::Incoming,
                state: CallState::Held,
                update: Update::default(),
            });
        }
        world
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
        let mut open: Vec<RequestId> = self.effects.drain(..).filter_map(|e| asked(&e)).collect();
        while let Some(request) = open.pop() {
            let word = Word::Fulfil { request, calls: None };
            self.take(Input::Provider { caller: PROVIDER, provider: self.provider, word });
            open.extend(self.effects.drain(..).filter_map(|e| asked(&e)));
        }
    }

    fn take(&mut self, input: Input) -> Reply {
        self.inputs += 1;
        self.now = Now { mono: self.now.mono + Millis(10), wall: self.now.wall + 10_000 };
        self.arbiter.handle(self.now, input, &mut self.effects).unwrap()
    }
}

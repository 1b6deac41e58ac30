//! Repeated warnings, folded: the first is logged, the next ones are counted, and every ten seconds one line says
//! how many there were.
//!
//! Lines are the same when they come from the same place in the code with the same fields, the id of the call left
//! out. While the database is down the place alone counts: everything fails then, each thing with its own fields, for
//! the same reason.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::telemetry;

/// For how long the same line is only counted after it has been logged.
const WINDOW: Duration = Duration::from_secs(10);

/// How often it is looked what is to be said of lines that were counted.
const LOOK: Duration = Duration::from_secs(1);

/// How many different lines are remembered; further ones are logged each.
const MOST: usize = 1000;

/// What the lines say that tell how often others came. They are not folded.
const TARGET: &str = "imd::repeated";

/// What slow calls are logged as: those of one method are the same, whoever makes them.
const SLOW: &str = "imd::slow";

/// Drops lines that repeat others.
#[derive(Clone, Default)]
pub(super) struct Folding(Arc<Mutex<HashMap<Key, Repeated>>>);

/// What makes lines the same: the place in the code, and what it says there.
type Key = (Identifier, u64);

struct Repeated {
    since: Instant,
    level: Level,
    text: String,
    times: u64,
}

impl Folding {
    /// Tells now and then of the lines that were dropped, until the process ends.
    pub(super) fn keep_telling(&self) {
        let folding = self.clone();
        // A thread, so that it also tells when the runtime is stuck.
        let tells = move || loop {
            thread::sleep(LOOK);
            folding.tell();
        };
        if let Err(error) = thread::Builder::new().name("log".to_owned()).spawn(tells) {
            tracing::warn!(%error, "repeated lines of the log are not counted");
        }
    }

    fn tell(&self) {
        let mut over = Vec::new();
        self.0.lock().retain(|_, line| {
            if line.since.elapsed() < WINDOW {
                return true;
            }
            if line.times == 0 {
                return false;
            }
            over.push((line.level, line.text.clone(), line.times));
            (line.since, line.times) = (Instant::now(), 0);
            true
        });
        for (level, line, times) in over {
            let seconds = WINDOW.as_secs();
            if level == Level::ERROR {
                tracing::error!(target: TARGET, line, times, seconds, "a line came again");
            } else {
                tracing::warn!(target: TARGET, line, times, seconds, "a line came again");
            }
        }
    }

    /// Whether a line is to be logged; counts it otherwise.
    fn is_new(&self, key: Key, level: Level, text: impl FnOnce() -> String) -> bool {
        let mut lines = self.0.lock();
        if let Some(line) = lines.get_mut(&key) {
            line.times += 1;
            return false;
        }
        if lines.len() < MOST {
            let line = Repeated { since: Instant::now(), level, text: text(), times: 0 };
            lines.insert(key, line);
        }
        true
    }
}

impl<S: Subscriber> Layer<S> for Folding {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == TARGET {
            return true;
        }
        let database_is_down = telemetry::database_is_down();
        let mut line = Line {
            hasher: DefaultHasher::new(),
            message: String::new(),
            what: match metadata.target() {
                SLOW => What::Slow,
                _ if database_is_down => What::Nothing,
                _ => What::Fields,
            },
        };
        event.record(&mut line);
        let key = (metadata.callsite(), line.hasher.finish());
        self.is_new(key, *metadata.level(), || line.message)
    }
}

/// What of a line's fields makes it another line.
#[derive(Clone, Copy)]
enum What {
    Nothing,
    /// What was slow.
    Slow,
    Fields,
}

struct Line {
    hasher: DefaultHasher,
    message: String,
    what: What,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match (field.name(), self.what) {
            ("message", _) => self.message = format!("{value:?}"),
            ("path" | "statement" | "method", What::Slow) => self.hash(field, value),
            ("request_id", _) | (_, What::Slow | What::Nothing) => {}
            (_, What::Fields) => self.hash(field, value),
        }
    }
}

impl Line {
    fn hash(&mut self, field: &Field, value: &dyn fmt::Debug) {
        field.name().hash(&mut self.hasher);
        format!("{value:?}").hash(&mut self.hasher);
    }
}

//! The waiting queue: what a rate limit refuses waits for its turn, up to a deadline, in place of an immediate refusal.
//!
//! Each subject whose limit refused has a line, in order of arrival. The first of a line tries again when what it needs has come
//! back; the others wait for it, and who comes later stands behind them without trying. So nobody overtakes, and a small
//! request waits behind a large one. The lines are plain data ([`Lines`]); [`Queue`] drives them, for all workers together.
//! Whoever leaves, served or not, takes its place along: a place is a value that is dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Permit, Refusal, Reserved};
use crate::ids::Subject;
use crate::rate_limiter::LimitType;

/// The first of a line looks again after at most so long: slots, and tokens that were reserved and not used, come back when some
/// request ends, which nobody foresees.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// And not sooner than this, however little is missing.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// Bounds of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a request waits at most.
    pub max_wait: Duration,
    /// Requests that wait at the same time; further ones are refused at once.
    pub max_waiting: usize,
    /// The same of one subject.
    pub max_waiting_per_subject: usize,
}

/// See the module. One for all workers.
#[derive(Debug)]
pub struct Queue {
    settings: QueueSettings,
    lines: Mutex<Lines<Arc<Notify>>>,
    /// How many wait: nobody takes the lock to find out that nobody does.
    waiting: AtomicUsize,
    closed: AtomicBool,
}

/// Who waits for whose limit, in order of arrival. Plain data: what is kept of each who waits is the driver's affair.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    lines: HashMap<Subject, Line<W>>,
    /// The number of the next who comes.
    next: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Line<W> {
    /// What stands against the first; who stands behind is told the same.
    refusal: Refusal,
    waiting: VecDeque<(u64, W)>,
}

/// One request's place in a line; given up when dropped.
#[derive(Debug)]
struct Place<'q> {
    queue: &'q Queue,
    subject: Subject,
    number: u64,
    turn: Arc<Notify>,
}

/// What a request that waits does next.
enum Next {
    /// It is its turn.
    Try,
    /// Its time is over, or that of the queue.
    GiveUp,
}

// === impl Queue ===

impl Queue {
    /// An empty one.
    pub fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            lines: Mutex::new(Lines::default()),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nobody waits any more, from now on: who does is refused.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for turn in self.lock().all() {
            turn.notify_one();
        }
    }

    /// Takes by `attempt`, which may be called any number of times, and waits between them while a rate limit refuses.
    /// `subjects` are those whose limits the request asks.
    ///
    /// Cancel safety: a request that is dropped gives up its place.
    ///
    /// # Errors
    /// What stood against it last, when its time is over, when there is no room to wait, or when waiting would be in vain; any
    /// refusal but that of a rate limit, at once.
    pub async fn admit<'s>(
        &self,
        subjects: impl Iterator<Item = &'s Subject>,
        mut attempt: impl AsyncFnMut() -> Result<Permit<Reserved>, Refusal>,
    ) -> Result<Permit<Reserved>, Refusal> {
        let deadline = Instant::now() + self.settings.max_wait;
        let mut place = match self.behind(subjects)? {
            Some(place) => place,
            None => match attempt().await {
                Err(refusal) => self.join(refusal, deadline)?,
                admitted => return admitted,
            },
        };
        loop {
            match place.turn(deadline).await {
                Next::GiveUp => return Err(place.refusal()),
                Next::Try => {}
            }
            let refusal = match attempt().await {
                Err(refusal) => refusal,
                admitted => return admitted,
            };
            match &refusal {
                Refusal::Rate { subject, .. } if *subject == place.subject => {
                    let pause = wait(&refusal, deadline)?;
                    place.note(refusal);
                    sleep(pause).await;
                }
                // Its own line goes on without it.
                _ => {
                    drop(place);
                    place = self.join(refusal, deadline)?;
                }
            }
        }
    }

    /// A place behind those who wait for one of these already.
    fn behind<'s>(
        &self,
        mut subjects: impl Iterator<Item = &'s Subject>,
    ) -> Result<Option<Place<'_>>, Refusal> {
        if self.waiting() == 0 {
            return Ok(None);
        }
        let mut lines = self.lock();
        let Some(subject) = subjects.find(|subject| lines.has(subject)) else {
            return Ok(None);
        };
        self.place(&mut lines, subject.clone(), None).map(Some)
    }

    /// A place in the line of whoever refused, if waiting makes sense.
    fn join(&self, refusal: Refusal, deadline: Instant) -> Result<Place<'_>, Refusal> {
        wait(&refusal, deadline)?;
        match &refusal {
            Refusal::Rate { subject, .. } => {
                let subject = subject.clone();
                self.place(&mut self.lock(), subject, Some(refusal))
            }
            _ => Err(refusal),
        }
    }

    fn place(
        &self,
        lines: &mut Lines<Arc<Notify>>,
        subject: Subject,
        refusal: Option<Refusal>,
    ) -> Result<Place<'_>, Refusal> {
        let turn = Arc::new(Notify::new());
        let number = lines.join(&subject, refusal, Arc::clone(&turn), &self.settings)?;
        self.waiting.store(lines.waiting, Ordering::Relaxed);
        Ok(Place {
            queue: self,
            subject,
            number,
            turn,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lines<Arc<Notify>>> {
        // Nothing panics under this lock.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long until the first of a line tries again; the refusal, where that is too late.
fn wait(refusal: &Refusal, deadline: Instant) -> Result<Duration, Refusal> {
    let left = deadline.saturating_duration_since(Instant::now());
    match refusal {
        // A limit of nothing admits nobody, whatever comes back.
        Refusal::Rate { limit: 0, .. } => Err(refusal.clone()),
        // Requests come back with time alone. Of a day's tokens some may when a request ends, but who waits for hours would keep
        // a place from others: who cannot have these in time need not wait for it.
        Refusal::Rate {
            limit_type: LimitType::Requests | LimitType::TokensPerDay,
            retry_after,
            ..
        } if *retry_after > left => Err(refusal.clone()),
        Refusal::Rate { retry_after, .. } if !left.is_zero() => {
            Ok((*retry_after).clamp(LEAST_PAUSE, LOOK_AGAIN).min(left))
        }
        _ => Err(refusal.clone()),
    }
}

// === impl Place ===

impl Place<'_> {
    /// Waits until it is the first of its line.
    async fn turn(&self, deadline: Instant) -> Next {
        loop {
            if self.queue.closed.load(Ordering::Acquire) || Instant::now() >= deadline {
                return Next::GiveUp;
            }
            if self.queue.lock().is_first(&self.subject, self.number) {
                return Next::Try;
            }
            // Whether it was told or its time is over is seen above.
            let _told = timeout_at(deadline, self.turn.notified()).await;
        }
    }

    /// What stands against it, or against who stands before it.
    fn refusal(&self) -> Refusal {
        self.queue.lock().refusal(&self.subject)
    }

    fn note(&self, refusal: Refusal) {
        self.queue.lock().note(&self.subject, refusal);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        if let Some(turn) = lines.leave(&self.subject, self.number) {
            turn.notify_one();
        }
        self.queue.waiting.store(lines.waiting, Ordering::Relaxed);
    }
}

// === impl Lines ===

impl<W> Default for Lines<W> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            next: 0,
            waiting: 0,
        }
    }
}

impl<W> Lines<W> {
    /// Stands at the end of a subject's line; answers its number there. Who was refused says by what; who was not stands behind
    /// others, and is told what they were told.
    pub(crate) fn join(
        &mut self,
        subject: &Subject,
        refusal: Option<Refusal>,
        who: W,
        settings: &QueueSettings,
    ) -> Result<u64, Refusal> {
        let known = self.lines.get(subject);
        let full = self.waiting >= settings.max_waiting
            || known.is_some_and(|line| line.waiting.len() >= settings.max_waiting_per_subject)
            || settings.max_waiting_per_subject == 0;
        let refusal = refusal.or_else(|| known.map(|line| line.refusal.clone()));
        let refusal = refusal.unwrap_or_else(|| Refusal::held(subject.clone()));
        if full {
            return Err(refusal);
        }
        let number = self.next;
        self.next += 1;
        self.waiting += 1;
        let line = self.lines.entry(subject.clone()).or_insert_with(|| Line {
            refusal,
            waiting: VecDeque::new(),
        });
        line.waiting.push_back((number, who));
        Ok(number)
    }

    /// Gives up a place. Answers who is the first now, if it was not before.
    pub(crate) fn leave(&mut self, subject: &Subject, number: u64) -> Option<&W> {
        let line = self.lines.get_mut(subject)?;
        let at = line
            .waiting
            .iter()
            .position(|(known, _)| *known == number)?;
        line.waiting.remove(at);
        self.waiting -= 1;
        if line.waiting.is_empty() {
            self.lines.remove(subject);
            return None;
        }
        if at > 0 {
            return None;
        }
        let line = self.lines.get(subject)?;
        line.waiting.front().map(|(_, who)| who)
    }

    /// Somebody waits for it.
    pub(crate) fn has(&self, subject: &Subject) -> bool {
        self.lines.contains_key(subject)
    }

    pub(crate) fn is_first(&self, subject: &Subject, number: u64) -> bool {
        let line = self.lines.get(subject);
        line.and_then(|line| line.waiting.front())
            .is_some_and(|(first, _)| *first == number)
    }

    fn refusal(&self, subject: &Subject) -> Refusal {
        let line = self.lines.get(subject);
        line.map_or_else(
            || Refusal::held(subject.clone()),
            |line| line.refusal.clone(),
        )
    }

    fn note(&mut self, subject: &Subject, refusal: Refusal) {
        if let Some(line) = self.lines.get_mut(subject) {
            line.refusal = refusal;
        }
    }

    fn all(&self) -> impl Iterator<Item = &W> {
        let waiting = self.lines.values().flat_map(|line| &line.waiting);
        waiting.map(|(_, who)| who)
    }
}

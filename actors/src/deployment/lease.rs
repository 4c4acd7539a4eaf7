//! What of a deployment's minute this replica may use, where several keep its limit together.
//!
//! The others' place holds the sliding minute of all and leases parts of it. With each report a replica tells what it used, what
//! it keeps and what it wants; the answer says what it has more. Between two reports nobody is asked. What is leased and not used
//! counts as used for as long as nobody else may have it, so no 60 s see more than the limit, whatever of this gets lost:
//!
//! - figures of use only grow, so a report that came twice is told from two;
//! - what is kept is told as a whole: an answer that was lost gave away what nobody uses, until the next report;
//! - a lease ends here before it ends there, where it counts as used.

use std::time::Duration;

use super::meter::Grant;
use crate::clock::Millis;

/// How long a lease is believed without a word; counted from before the question here, from after it there.
pub const LEASED: Duration = Duration::from_secs(10);
/// After which a replica that has nothing left may have something again.
const SOON: Duration = Duration::from_millis(500);
/// Reports for which something is wanted that a request was refused for.
const PATIENCE: u8 = 20;

/// One deployment's.
#[derive(Debug, Default)]
pub(super) struct Lease {
    requests: Part,
    tokens: Part,
    until: Millis,
    number: u64,
    sent_at: Millis,
    /// Something was taken since the last report.
    is_behind: bool,
}

/// Of requests or of tokens.
#[derive(Debug, Default)]
struct Part {
    /// May be taken.
    free: u64,
    /// Taken by what is under way: tokens, by estimate.
    held: u64,
    /// Used since the process began.
    used: u64,
    /// Of those, told.
    told: u64,
    /// Asked for since the last report, whether there was some or not.
    asked: u64,
    /// The most that was refused at once, until something is taken or nobody came for it.
    needed: u64,
    /// Reports until nobody comes for it any more.
    patience: u8,
    /// Another replica has too few.
    others_lack: bool,
    /// When some may come back.
    back_at: Millis,
}

/// What a replica tells of one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseReport {
    /// Which report of this process it is, from 1.
    pub number: u64,
    /// Of requests.
    pub requests: PartReport,
    /// Of tokens.
    pub tokens: PartReport,
}

/// The same of requests or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartReport {
    /// The limit; `None`: there is none.
    pub limit: Option<u64>,
    /// Used since the process began.
    pub used: u64,
    /// Of the last 60 s: for a place that knows nothing of this replica.
    pub minute: u64,
    /// Taken by what is under way, and what may be taken from now on.
    pub kept: u64,
    /// What it would like to have besides.
    pub wanted: u64,
    /// What it lacks at least: something was refused.
    pub lacked: u64,
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseAnswer {
    /// Of requests.
    pub requests: PartAnswer,
    /// Of tokens.
    pub tokens: PartAnswer,
}

/// The same of requests or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartAnswer {
    /// May be taken besides what was kept.
    pub more: u64,
    /// Another replica has too few.
    pub others_lack: bool,
    /// When some may come back; zero where that is not known.
    pub wait: Duration,
}

// === impl Lease ===

impl Lease {
    pub(super) fn is_live(&self, now: Millis) -> bool {
        now < self.until
    }

    /// Takes a request and its tokens of a live lease.
    ///
    /// # Errors
    /// How long until there may be some, where there are too few.
    pub(super) fn take(&mut self, grant: Grant, tokens: u64, now: Millis) -> Result<(), Duration> {
        let requests = grant.rpm.map_or(Ok(()), |_| self.requests.check(1, now));
        let by_tokens = grant.tpm.map_or(Ok(()), |_| self.tokens.check(tokens, now));
        let wait = |checked: Result<(), Duration>| checked.err().unwrap_or_default();
        let wait = wait(requests).max(wait(by_tokens));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.requests.free = self.requests.free.saturating_sub(1);
        self.tokens.free = self.tokens.free.saturating_sub(tokens);
        Ok(())
    }

    /// A request was taken, of the lease or without.
    pub(super) fn took(&mut self, tokens: u64) {
        self.is_behind = true;
        self.requests.ask(1);
        self.tokens.ask(tokens);
        (self.requests.needed, self.tokens.needed) = (0, 0);
        self.requests.used = self.requests.used.saturating_add(1);
        self.tokens.held = self.tokens.held.saturating_add(tokens);
    }

    /// The request has ended.
    pub(super) fn settle(&mut self, estimate: u64, actual: u64) {
        let tokens = &mut self.tokens;
        tokens.held = tokens.held.saturating_sub(estimate);
        tokens.used = tokens.used.saturating_add(actual);
        tokens.free = tokens.free.saturating_add(estimate).saturating_sub(actual);
    }

    /// The request was never sent. One that is told stays told.
    pub(super) fn give_back(&mut self, estimate: u64) {
        self.settle(estimate, 0);
        let requests = &mut self.requests;
        if requests.used > requests.told {
            requests.used -= 1;
            requests.free = requests.free.saturating_add(1);
        }
    }

    /// What is told now; `replicas` is how many there are, `minute` what was used here in the last 60 s.
    pub(super) fn report(
        &mut self,
        grant: Grant,
        minute: (u64, u64),
        replicas: u64,
        now: Millis,
    ) -> LeaseReport {
        if !self.is_live(now) {
            // It counts as used there: nobody may take it any more.
            (self.requests.free, self.tokens.free) = (0, 0);
        }
        self.number += 1;
        self.sent_at = now;
        self.is_behind = false;
        LeaseReport {
            number: self.number,
            requests: self.requests.report(grant.rpm, minute.0, replicas),
            tokens: self.tokens.report(grant.tpm, minute.1, replicas),
        }
    }

    /// What is told when this replica stops: it keeps what is under way.
    pub(super) fn last_report(
        &mut self,
        grant: Grant,
        minute: (u64, u64),
        now: Millis,
    ) -> LeaseReport {
        // Nobody may take what was free: the lease is over.
        self.until = Millis::ZERO;
        let mut report = self.report(grant, minute, 1, now);
        for part in [&mut report.requests, &mut report.tokens] {
            (part.wanted, part.lacked) = (0, 0);
        }
        report
    }

    /// What the report of that number was answered; an earlier one's answer says nothing any more.
    pub(super) fn answered(&mut self, number: u64, answer: LeaseAnswer, now: Millis) {
        if number != self.number {
            return;
        }
        if !self.is_live(now) {
            if self.is_behind {
                // Taken by share since the report, which the lease knows nothing of: the next one will.
                return;
            }
            // What came free meanwhile was of a lease that had ended.
            (self.requests.free, self.tokens.free) = (0, 0);
        }
        self.requests.learn(answer.requests, now);
        self.tokens.learn(answer.tokens, now);
        self.until = self.sent_at.after(LEASED);
    }
}

// === impl Part ===

impl Part {
    fn check(&mut self, units: u64, now: Millis) -> Result<(), Duration> {
        if units <= self.free {
            return Ok(());
        }
        self.ask(units);
        self.needed = self.needed.max(units);
        self.patience = PATIENCE;
        // The next report may bring some, whatever was said.
        Err(self.back_at.since(now).max(SOON))
    }

    fn ask(&mut self, units: u64) {
        self.asked = self.asked.saturating_add(units);
    }

    fn report(&mut self, limit: Option<u64>, minute: u64, replicas: u64) -> PartReport {
        let most = limit.unwrap_or_default();
        // Whoever is quiet has its part all the same, so that a burst finds some, unless somebody else lacks it.
        let part = most.div_ceil(replicas.max(1));
        let aim = if self.others_lack {
            self.asked
        } else {
            part.max(self.asked.saturating_mul(2))
        };
        self.patience = self.patience.saturating_sub(1);
        if self.patience == 0 {
            self.needed = 0;
        }
        let aim = aim.min(most).max(self.needed);
        self.free = self.free.min(aim);
        if self.needed > most && self.free < self.needed {
            // More than a whole minute's: it is given where nobody has any.
            self.free = 0;
        }
        let report = PartReport {
            limit,
            used: self.used,
            minute,
            kept: self.held.saturating_add(self.free),
            wanted: aim.saturating_sub(self.free),
            lacked: self.needed.saturating_sub(self.free),
        };
        self.told = self.used;
        self.asked = 0;
        report
    }

    fn learn(&mut self, answer: PartAnswer, now: Millis) {
        self.free = self.free.saturating_add(answer.more);
        self.others_lack = answer.others_lack;
        self.back_at = now.after(answer.wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant = Grant {
        rpm: Some(9),
        tpm: Some(90),
    };

    /// Reports, and is answered with so much.
    fn leased(lease: &mut Lease, (requests, tokens): (u64, u64), now: u64) -> LeaseReport {
        let report = lease.report(GRANT, (0, 0), 3, Millis(now));
        let part = |more| PartAnswer {
            more,
            ..PartAnswer::default()
        };
        let answer = LeaseAnswer {
            requests: part(requests),
            tokens: part(tokens),
        };
        lease.answered(report.number, answer, Millis(now));
        report
    }

    /// Takes a request of ten tokens.
    fn take(lease: &mut Lease, now: u64) -> bool {
        let taken = lease.take(GRANT, 10, Millis(now)).is_ok();
        if taken {
            lease.took(10);
        }
        taken
    }

    #[test]
    fn no_more_is_taken_than_is_leased_and_not_for_longer() {
        let mut lease = Lease::default();
        assert!(!lease.is_live(Millis(0)));
        let report = leased(&mut lease, (2, 90), 0);
        assert_eq!((report.requests.wanted, report.tokens.wanted), (3, 30));
        assert!(take(&mut lease, 1) && take(&mut lease, 2) && !take(&mut lease, 3));
        assert!(lease.is_live(Millis(9_999)) && !lease.is_live(Millis(10_000)));
        // What was refused is asked for, and what is under way is kept.
        let report = leased(&mut lease, (0, 0), 10_000);
        assert_eq!((report.requests.used, report.requests.kept), (2, 0));
        assert_eq!(report.requests.lacked, 1);
        assert_eq!((report.tokens.used, report.tokens.kept), (0, 20));
        lease.settle(10, 4);
        let report = leased(&mut lease, (0, 0), 10_500);
        assert_eq!((report.tokens.used, report.tokens.kept), (4, 10 + 6));
    }

    #[test]
    fn what_is_not_needed_is_given_up_when_another_replica_lacks_some() {
        let mut lease = Lease::default();
        leased(&mut lease, (3, 30), 0);
        let report = leased(&mut lease, (0, 0), 500);
        assert_eq!((report.requests.kept, report.requests.wanted), (3, 0));
        let lack = LeaseAnswer {
            requests: PartAnswer {
                others_lack: true,
                ..PartAnswer::default()
            },
            tokens: PartAnswer::default(),
        };
        let report = lease.report(GRANT, (0, 0), 3, Millis(1_000));
        lease.answered(report.number, lack, Millis(1_000));
        let report = lease.report(GRANT, (0, 0), 3, Millis(1_500));
        assert_eq!((report.requests.kept, report.tokens.kept), (0, 30));
        assert!(!take(&mut lease, 1_501));
    }

    #[test]
    fn a_request_that_was_never_sent_is_given_back_unless_it_is_told() {
        let mut lease = Lease::default();
        leased(&mut lease, (2, 30), 0);
        assert!(take(&mut lease, 1));
        lease.give_back(10);
        let report = leased(&mut lease, (0, 0), 500);
        assert_eq!((report.requests.used, report.requests.kept), (0, 2));
        assert!(take(&mut lease, 501));
        let report = leased(&mut lease, (0, 0), 1_000);
        assert_eq!((report.requests.used, report.requests.kept), (1, 1));
        lease.give_back(10);
        let report = leased(&mut lease, (0, 0), 1_500);
        assert_eq!((report.requests.used, report.requests.kept), (1, 1));
        assert_eq!((report.tokens.used, report.tokens.kept), (0, 30));
    }

    #[test]
    fn an_answer_to_what_was_told_before_something_was_taken_by_share_begins_no_lease() {
        let mut lease = Lease::default();
        let report = lease.report(GRANT, (0, 0), 3, Millis(0));
        lease.took(10);
        lease.answered(report.number, LeaseAnswer::default(), Millis(1));
        assert!(!lease.is_live(Millis(1)));
        leased(&mut lease, (1, 10), 500);
        assert!(lease.is_live(Millis(501)));
    }
}

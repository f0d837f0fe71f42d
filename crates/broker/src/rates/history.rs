//! Counts at past times, and what follows: how much in the last minute, hour, day.
//!
//! A pure machine: the time and the counts are handed in. Samples of one span are taken at the same
//! times for everything, as RocketMQ's `StatsItem` does it:
//!
//! ```text
//! span    every    kept
//! minute  10 s     7
//! hour    10 min   7
//! day     1 h      25
//! ```
//! A count that is new was zero before, so its history begins with a zero at the sample before.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashMap;

use super::tally::Count;

/// Time between two samples of the shortest span.
pub(crate) const TICK: Duration = Duration::from_secs(10);

/// A rate over less time than this would tell of a burst only.
const OVER_MIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Minute,
    Hour,
    Day,
}

impl Span {
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Ticks between two samples.
    const fn ticks(self) -> u64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 360,
        }
    }

    const fn kept(self) -> usize {
        match self {
            Self::Minute | Self::Hour => 7,
            Self::Day => 25,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What passed in a span.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Passed {
    pub(crate) count: Count,
    pub(crate) over: Duration,
}

impl Passed {
    pub(crate) fn per_second(self, amount: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let amount = amount as f64;
        amount / self.over.max(OVER_MIN).as_secs_f64()
    }
}

/// Samples of one count, the newest last.
type Samples = [VecDeque<Count>; 3];

/// The histories of many counts.
#[derive(Debug)]
pub(crate) struct Histories<K> {
    ticks: u64,
    times: [VecDeque<Duration>; 3],
    of: HashMap<K, Samples>,
    max: usize,
    /// How many of the last tick had no room.
    unkept: usize,
}

impl<K: Hash + Eq + Clone> Histories<K> {
    /// `max`: most counts whose history is kept.
    pub(crate) fn new(now: Duration, max: usize) -> Self {
        let times = std::array::from_fn(|_| VecDeque::from([now]));
        Self { ticks: 0, times, of: HashMap::new(), max, unkept: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    pub(crate) const fn unkept(&self) -> usize {
        self.unkept
    }

    /// Takes samples of all counts. Counts that are not named any more are forgotten; the last sample
    /// of each is returned.
    pub(crate) fn on_tick(&mut self, now: Duration, counts: &HashMap<K, Count>) -> Vec<(K, Count)> {
        let gone: Vec<K> = self.of.keys().filter(|key| !counts.contains_key(*key)).cloned().collect();
        let forgotten = gone.into_iter().filter_map(|key| {
            let samples = self.of.remove(&key)?;
            let last = samples[Span::Minute.index()].back().copied()?;
            Some((key, last))
        });
        let forgotten = forgotten.collect();
        self.ticks += 1;
        self.unkept = 0;
        for (key, count) in counts {
            if !self.of.contains_key(key) {
                if *count == Count::default() {
                    continue;
                }
                if self.of.len() >= self.max {
                    self.unkept += 1;
                    continue;
                }
                self.of.insert(key.clone(), std::array::from_fn(|_| VecDeque::from([Count::default()])));
            }
        }
        for span in Span::ALL.into_iter().filter(|span| self.ticks.is_multiple_of(span.ticks())) {
            push(&mut self.times[span.index()], now, span.kept());
            for (key, samples) in &mut self.of {
                let count = counts.get(key).copied().unwrap_or_default();
                push(&mut samples[span.index()], count, span.kept());
            }
        }
        forgotten
    }

    /// Counts that have not grown for a day.
    pub(crate) fn idle(&self) -> Vec<K> {
        let is_idle = |samples: &Samples| {
            let day = &samples[Span::Day.index()];
            let newest = samples[Span::Minute.index()].back();
            day.len() == Span::Day.kept() && day.front() == newest
        };
        self.of.iter().filter(|(_, samples)| is_idle(samples)).map(|(key, _)| key.clone()).collect()
    }

    /// Forgets a count, which then begins at zero again.
    pub(crate) fn forget(&mut self, key: &K) {
        self.of.remove(key);
    }

    /// What passed in a span up to now.
    pub(crate) fn passed(&self, key: &K, span: Span, now: Duration, count: Count) -> Passed {
        let times = &self.times[span.index()];
        let samples = self.of.get(key).map(|samples| &samples[span.index()]);
        let kept = samples.map_or(1, VecDeque::len);
        let first = samples.and_then(VecDeque::front).copied().unwrap_or_default();
        let began = times.get(times.len().saturating_sub(kept)).copied().unwrap_or(now);
        Passed { count: count.since(first), over: now.saturating_sub(began) }
    }

    /// What passed since the newest sample that is at least as old as `age`, else since the oldest.
    pub(crate) fn passed_since(&self, key: &K, age: Duration, now: Duration, count: Count) -> Passed {
        for span in [Span::Minute, Span::Hour] {
            let (times, Some(samples)) = (&self.times[span.index()], self.of.get(key)) else { continue };
            let pairs = times.iter().rev().zip(samples[span.index()].iter().rev());
            let mut old_enough = pairs.filter(|(time, _)| now.saturating_sub(**time) >= age);
            if let Some((time, first)) = old_enough.next() {
                return Passed { count: count.since(*first), over: now.saturating_sub(*time) };
            }
        }
        let longest = |span| self.passed(key, span, now, count);
        let (minute, hour) = (longest(Span::Minute), longest(Span::Hour));
        if minute.over > hour.over { minute } else { hour }
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T, kept: usize) {
    if samples.len() >= kept {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(messages: u64) -> Count {
        Count { calls: messages, messages, bytes: 10 * messages }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    struct Rig {
        histories: Histories<&'static str>,
        ticks: u64,
    }

    impl Rig {
        fn new(max: usize) -> Self {
            Self { histories: Histories::new(seconds(0), max), ticks: 0 }
        }

        fn tick(&mut self, counts: &[(&'static str, u64)]) -> Vec<(&'static str, Count)> {
            self.ticks += 1;
            let counts = counts.iter().map(|(key, messages)| (*key, count(*messages))).collect();
            self.histories.on_tick(TICK * u32::try_from(self.ticks).expect("few"), &counts)
        }

        fn now(&self) -> Duration {
            seconds(10 * self.ticks)
        }

        fn messages(&self, span: Span, messages: u64) -> (u64, u64) {
            let passed = self.histories.passed(&"a", span, self.now(), count(messages));
            (passed.count.messages, passed.over.as_secs())
        }
    }

    #[test]
    fn a_new_count_was_zero_at_the_sample_before() {
        let mut rig = Rig::new(10);
        rig.tick(&[("b", 1)]);
        assert_eq!(rig.messages(Span::Minute, 5), (5, 0));
        rig.tick(&[("a", 8), ("b", 1)]);
        assert_eq!(rig.messages(Span::Minute, 8), (8, 10));
        assert_eq!(rig.messages(Span::Day, 8), (8, 20));
    }

    #[test]
    fn a_minute_is_the_last_six_to_seven_samples() {
        let mut rig = Rig::new(10);
        for tick in 1..=100 {
            rig.tick(&[("a", 100 * tick)]);
        }
        assert_eq!(rig.messages(Span::Minute, 10_000), (600, 60));
        assert_eq!(rig.messages(Span::Hour, 10_000), (10_000, 1_000));
        let passed = rig.histories.passed(&"a", Span::Minute, rig.now(), count(10_000));
        assert!((passed.per_second(passed.count.messages) - 10.0).abs() < 1e-9);
        let recent = rig.histories.passed_since(&"a", seconds(10), rig.now(), count(10_000));
        assert_eq!((recent.count.messages, recent.over), (100, seconds(10)));
        let longer = rig.histories.passed_since(&"a", seconds(600), rig.now(), count(10_000));
        assert_eq!((longer.count.messages, longer.over), (10_000, seconds(1_000)));
    }

    #[test]
    fn an_hour_is_six_samples_and_a_day_twenty_four() {
        let mut rig = Rig::new(10);
        for tick in 1..=(360 * 30) {
            rig.tick(&[("a", tick)]);
        }
        assert_eq!(rig.messages(Span::Hour, 10_800), (360, 3_600));
        assert_eq!(rig.messages(Span::Day, 10_800), (8_640, 86_400));
        assert!(rig.histories.idle().is_empty());
        for _ in 0..(360 * 25) {
            rig.tick(&[("a", 10_800)]);
        }
        assert_eq!(rig.histories.idle(), ["a"]);
    }

    #[test]
    fn a_rate_is_never_over_less_than_a_second() {
        let rig = Rig::new(10);
        let passed = rig.histories.passed(&"a", Span::Minute, seconds(0), count(7));
        assert!((passed.per_second(passed.count.messages) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut rig = Rig::new(2);
        rig.tick(&[("a", 1), ("b", 1), ("c", 1), ("zero", 0)]);
        assert_eq!((rig.histories.len(), rig.histories.unkept()), (2, 1));
    }

    #[test]
    fn who_is_gone_is_told_with_the_last_count() {
        let mut rig = Rig::new(2);
        assert_eq!(rig.tick(&[("a", 3)]), []);
        assert_eq!(rig.tick(&[]), [("a", count(3))]);
        assert_eq!(rig.histories.len(), 0);
    }
}
